from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from inferd.records import Message
from inferd.telemetry.device_state import MAX_PIPELINES, DeviceState
from inferd.watch import fleet
from inferd.watch.fleet import Fleet, FleetQuery
from inferd.watch.plain_text import line, summary
from inferd.wire import telemetry
from inferd.wire.replay import encode_missed
from inferd_tools.simulate import SimulatedDevice


def simulated(devices: int, seconds: float = 30.0) -> Fleet:
    """Return a fleet that has heard one interval of so many simulated devices."""
    heard = Fleet("inferd")
    for number in range(devices):
        device = SimulatedDevice(number)
        for message in (*device.begin(), *device.live(seconds)):
            heard.update(message.topic, message.payload)
    return heard


def test_every_device_that_speaks_is_a_row() -> None:
    view = simulated(200).view(FleetQuery())
    assert (view.devices, len(view.rows)) == (200, 200)
    assert sum(view.states.values()) == 200


def test_the_worst_come_first() -> None:
    states = [row.state for row in simulated(200).view(FleetQuery()).rows]
    assert states == sorted(states, key=fleet.WORST_FIRST.index)


@pytest.mark.parametrize("sort", fleet.SORTS)
def test_what_is_not_known_comes_last_however_it_is_sorted(sort: fleet.Sort) -> None:
    rows = simulated(100).view(FleetQuery(sort=sort)).rows
    values = {"fps": "fps", "p95": "p95_ms", "temperature": "temperature_c"}
    if sort in values:
        known = [getattr(row, values[sort]) is not None for row in rows]
        assert known == sorted(known, reverse=True)
    assert len(rows) == 100


def test_a_filter_keeps_rows_in_which_every_word_is_found() -> None:
    rows = simulated(100).view(FleetQuery(filter="mobile running")).rows
    assert rows
    assert all("mobilenet" in row.model and row.state == "running" for row in rows)
    assert simulated(100).view(FleetQuery(filter="no such thing")).rows == ()


def test_the_chosen_row_is_one_that_is_there() -> None:
    view = simulated(3).view(FleetQuery(at=1_000_000, inside=True))
    assert view.wish.at == 2
    assert view.chosen is not None


def test_a_device_that_is_off_shows_no_figures_of_another_time() -> None:
    heard = simulated(1)
    (name,) = heard.devices
    heard.update(f"inferd/{name}/status", b"offline")
    (row,) = heard.view(FleetQuery()).rows
    assert (row.state, row.fps, row.p95_ms, row.temperature_c, row.power_w) == ("offline", None, None, None, None)


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("inferd/x/metrics", b"{"),
        ("inferd/x/info", b"[]"),
        ("inferd/x/cam/status", b'{"status": 7}'),
        ("inferd/x/some/other/thing", b"{}"),
        ("inferd/x/replay", b"[]"),
        ("other/x/status", b"online"),
        ("inferd/x", b"online"),
        ("inferd/x/event", b"\xff\xfe"),
    ],
)
def test_what_is_no_message_of_a_device_makes_none(topic: str, payload: bytes) -> None:
    heard = Fleet("inferd")
    heard.update(topic, payload)
    assert heard.devices == {}


def test_a_broker_full_of_names_fills_no_memory() -> None:
    heard = Fleet("inferd")
    for number in range(fleet.MAX_DEVICES + 7):
        heard.update(f"inferd/d{number}/status", b"online")
    assert (len(heard.devices), heard.refused) == (fleet.MAX_DEVICES, 7)
    seen = DeviceState()
    for number in range(MAX_PIPELINES + 7):
        seen.update(f"p{number}/status", b'{"status": "running", "why": "", "since": ""}')
    assert len(seen.pipelines) == MAX_PIPELINES


def alert(kind: telemetry.EventKind, name: str = "hot", seq: int = 1, boot_id: str = "b") -> bytes:
    event = telemetry.Event(kind, "warning", "it is hot", None, None, {"alert": name})
    return telemetry.encode(telemetry.Header(1, "d", "2026-11-05T06:07:08.009Z", boot_id, seq), event)


def missed(*events: bytes) -> bytes:
    return encode_missed([Message("event", one) for one in events])


def started(boot_id: str = "b") -> DeviceState:
    """Return a device of which only its `info` was heard."""
    seen = DeviceState()
    info = telemetry.Info("0.1", "3.11", "x86_64", "Debian", None, None, 60.0, {}, {})
    seen.update("info", telemetry.encode(telemetry.Header(1, "d", "", boot_id, 1), info))
    return seen


def test_an_alert_that_the_broker_missed_stands_when_it_is_replayed() -> None:
    seen = started()
    seen.update("replay", missed(alert("alert.raised", seq=7), alert("alert.raised", "full", seq=8)))
    assert [name for name, _ in seen.alerts] == ["hot", "full"]
    assert not seen.events


def test_a_replayed_alert_that_is_over_by_now_stays_over() -> None:
    seen = started()
    seen.update("event", alert("alert.cleared", seq=9))
    seen.update("replay", missed(alert("alert.raised", seq=7)))
    assert not seen.alerts


def test_a_replayed_alert_of_an_earlier_start_is_none() -> None:
    seen = started("b")
    seen.update("replay", missed(alert("alert.raised", seq=7, boot_id="a")))
    assert not seen.alerts


def test_alerts_of_an_earlier_start_end_with_it() -> None:
    seen = started("a")
    seen.update("event", alert("alert.raised", seq=7, boot_id="a"))
    info = telemetry.Info("0.1", "3.11", "x86_64", "Debian", None, None, 60.0, {}, {})
    seen.update("info", telemetry.encode(telemetry.Header(1, "d", "", "b", 1), info))
    assert not seen.alerts


def test_an_alert_stands_until_it_is_cleared_or_the_agent_starts_anew() -> None:
    seen = DeviceState()
    seen.update("event", alert("alert.raised"))
    seen.update("event", alert("alert.raised", "full"))
    seen.update("event", alert("alert.cleared"))
    assert [name for name, _ in seen.alerts] == ["full"]
    seen.update("event", alert("agent.started"))
    assert not seen.alerts


def test_a_pipeline_whose_retained_words_are_taken_back_is_gone() -> None:
    seen = DeviceState()
    seen.update("cam/status", b'{"status": "failed", "why": "", "since": ""}')
    assert seen.state == "failed"
    seen.update("cam/status", b"")
    assert seen.pipelines == {}


def test_a_line_says_what_a_row_does_and_marks_what_is_estimated() -> None:
    view = simulated(3).view(FleetQuery(sort="device"))
    assert summary(view).startswith("3 devices: ")
    assert all("W |" in line(row) and f"~{row.power_w:.1f} W" in line(row) for row in view.rows if row.power_w)
    assert summary(replace(view, rows=view.rows[:1])).startswith("1 of 3 devices")


def test_percentiles_of_a_device_are_of_all_its_pipelines() -> None:
    heard = simulated(1)
    (seen,) = heard.devices.values()
    assert seen.metrics is not None
    both = msgspec.structs.replace(
        seen.metrics, pipelines={"a": seen.metrics.pipelines["cam"], "b": seen.metrics.pipelines["cam"]}
    )
    count = seen.latency.count
    seen.pipelines.clear()
    seen.update("metrics", msgspec.json.encode(both))
    assert seen.latency.count == 2 * count
