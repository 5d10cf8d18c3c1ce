"""What strangers publish below our prefix: it is counted, and neither ends a watcher nor makes it grow."""

from __future__ import annotations

import msgspec
import pytest
from rich.console import Console

from inferd.watch.fleet import MAX_BYTES, MAX_PAYLOAD_BYTES, Fleet, FleetQuery
from inferd.watch.plain_text import LONGEST_LINE, line
from inferd.watch.screen import draw
from inferd.watch.show import told
from inferd_tools.simulate import SimulatedDevice

NESTED = b'{"version": ' + b"[" * 1_100 + b"]" * 1_100 + b"}"
HUGE = (
    b'{"uptime_s": 1, "interval_s": 1, "system": {"temperature_c": '
    + b"9" * 400
    + b'}, "agent": {}, "processes": {}, "pipelines": {}}'
)
BOMB = msgspec.json.encode(
    {
        "uptime_s": 1, "interval_s": 1, "system": {}, "agent": {}, "processes": {},
        "pipelines": {"cam": {"fps": 1.0, "latency_ms": {"total": {
            "count": 1, "sum": 1.0, "min": 1.0, "max": 1.0, "p50": 1.0, "p95": 1.0, "p99": 1.0, "scale": -9, "zero_count": 0,
            "offset": 900_000_000, "counts": [1]}}}},
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("inferd/pi/info", NESTED),
        ("inferd/pi/metrics", NESTED),
        ("inferd/pi/metrics", HUGE),
        ("inferd/pi/metrics", BOMB),
        ("inferd/pi/replay", NESTED),
        ("inferd/pi/replay", b'[{"topic": "event", "message": ' + b"[" * 1_100 + b"]" * 1_100 + b"}]"),
        ("inferd/pi/cam/status", b"\xff\xff"),
        ("inferd/p\x1b[2Ji/status", b"online"),
        ("inferd/pi/cam/model", b"{" * 2_000),
        ("inferd/pi/info", b"x" * (MAX_PAYLOAD_BYTES + 1)),
    ],
)
def test_it_changes_nothing(topic: str, payload: bytes) -> None:
    fleet = Fleet("inferd")
    fleet.update(topic, payload)
    fleet.update("inferd/pi/status", b"online")
    view = fleet.view(FleetQuery(inside=True))
    assert [row.state for row in view.rows] == ["online"]
    shown(fleet)


def shown(fleet: Fleet) -> str:
    """Return all that a watcher shows, list and every device."""
    console = Console(markup=False, width=160, height=50)
    with console.capture() as capture:
        for at in range(max(1, len(fleet.devices))):
            for inside in (False, True):
                console.print(draw(fleet.view(FleetQuery(at=at, inside=inside)), "b:1883", 160, 50))
    return capture.get() + "\n".join(told(fleet.view(FleetQuery())))


def test_markup_and_escapes_in_names_are_only_text() -> None:
    fleet = Fleet("inferd")
    fleet.update("inferd/pi/cam/model", msgspec.json.encode({"name": "[/x]"}))
    fleet.update(
        "inferd/pi/[red]/status",
        msgspec.json.encode({"status": "failed", "why": "\x1b]0;pwned\x07[/bold]\nx", "since": ""}),
    )
    text = shown(fleet)
    assert "[/x]" in text
    assert "\x1b]0" not in text
    assert "\x07" not in text


def test_a_long_text_is_one_bounded_line() -> None:
    fleet = Fleet("inferd")
    fleet.update("inferd/pi/cam/status", msgspec.json.encode({"status": "failed", "why": "w" * 19_000, "since": ""}))
    assert len(line(fleet.view(FleetQuery()).rows[0])) == LONGEST_LINE


def test_memory_is_bounded_however_many_devices_and_pipelines_are_claimed() -> None:
    fleet = Fleet("inferd")
    payload = msgspec.json.encode({"status": "failed", "why": "w" * 19_000, "since": ""})
    for device in range(400):
        for pipeline in range(64):
            fleet.update(f"inferd/d{device}/p{pipeline}/status", payload)
    kept = sum(len(one.status.why) for seen in fleet.devices.values() for one in seen.pipelines.values() if one.status)
    assert kept <= MAX_BYTES
    assert fleet.refused > 0


def test_healthy_devices_lose_nothing_by_the_bound() -> None:
    fleet = Fleet("inferd")
    for number in range(300):
        device = SimulatedDevice(number)
        for message in (*device.begin(), *device.live(30.0)):
            fleet.update(message.topic, message.payload)
    assert (len(fleet.devices), fleet.refused) == (300, 0)
