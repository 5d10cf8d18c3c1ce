from __future__ import annotations

from typing import Any

import msgspec
import pytest

from fixtures.paths import BOARD_TREES
from inferd import ipc
from inferd.config import settings
from inferd.config.check_alerts import wrong_alerts
from inferd.control.reporting.alerting import Alerting
from inferd.control.reporting.metrics import MetricsReporter
from inferd.control.reporting.publisher import Publisher
from inferd.histogram import Histogram
from inferd.meters.background import DirectReader
from inferd.records import STAGES, Label, LabelSummary, Result
from inferd.system.clock import CountingClock
from inferd.telemetry.memory_link import MemoryLink

PI4 = BOARD_TREES / "pi4"


class Device:
    """A Pi 4 that watches itself for these alerts, and a subscriber who hears of it."""

    def __init__(self, *alerts: settings.Alert) -> None:
        self.clock = CountingClock()
        self.link = MemoryLink(settings.Mqtt(), "test")
        self.figures = MetricsReporter(self.clock, settings.MetricsConfig(), PI4, PI4, DirectReader)
        self.alerting = Alerting(Publisher("test", [self.link], self.clock), self.figures, self.clock)
        self.alerting.follow(settings.Config(alert=alerts))

    def second(self, frames: int = 10, took_ms: int = 10, dropped: int = 0, degraded: bool = False) -> None:  # noqa: FBT001, FBT002 - a test's shorthand
        latency = {stage: Histogram() for stage in STAGES}
        for collected in latency.values():
            for _ in range(frames):
                collected.add(took_ms * 1_000_000)
        drained = {stage: collected.drain() for stage, collected in latency.items()}
        counts = ipc.PipelineCounts(frames, frames, {"superseded": dropped}, frames, 0, 0, drained)
        self.clock.advance(1.0)
        self.figures.add(ipc.Counts(1.0, {"cam": counts}, 0))
        self.figures.tick()
        self.alerting.turn({"cam"} if degraded else ())

    def events(self) -> list[dict[str, Any]]:
        return [msgspec.json.decode(payload) for payload in self.link.payloads("event")]


@pytest.mark.parametrize(
    ("alert", "bad"),
    [
        (settings.Alert(name="a", when="latency_p95_ms", above=50, for_s=3), {"took_ms": 90}),
        (settings.Alert(name="a", when="fps", below=5, for_s=3), {"frames": 1}),
        (settings.Alert(name="a", when="drop_pct", above=20, for_s=3), {"dropped": 90}),
        (settings.Alert(name="a", when="result_age_s", above=5, for_s=3), {"frames": 0}),
        (settings.Alert(name="a", when="degraded", for_s=3), {"degraded": True}),
    ],
    ids=lambda value: value.when if isinstance(value, settings.Alert) else "",
)
def test_it_is_raised_once_and_cleared_once(alert: settings.Alert, bad: dict[str, Any]) -> None:
    device = Device(alert)
    for condition in ({}, bad, {}):
        for _ in range(30):
            device.second(**condition)
    assert [(event["kind"], event["pipeline"]) for event in device.events()] == [
        ("alert.raised", "cam"),
        ("alert.cleared", "cam"),
    ]


@pytest.mark.parametrize(
    "alert",
    [
        settings.Alert(name="a", when="temperature_c", above=40, for_s=2),
        settings.Alert(name="a", when="memory_available_mb", below=9999, for_s=2),
        settings.Alert(name="a", when="disk_free_mb", below=1e12, for_s=2),
    ],
    ids=lambda alert: alert.when,
)
def test_the_device_is_watched_as_well(alert: settings.Alert) -> None:
    device = Device(alert)
    for _ in range(5):
        device.second()
    told = device.events()[-1]
    assert (told["kind"], told["pipeline"], told["data"]["alert"]) == ("alert.raised", None, "a")
    assert device.alerting.active() == ["a"]


@pytest.mark.parametrize(
    ("alert", "seen", "not_seen"),
    [
        (settings.Alert(name="a", when="label_count", label="person", above=1, for_s=2), {"person": 2}, {"dog": 5}),
        (settings.Alert(name="a", when="label_count", above=1, for_s=2), {"person": 1, "dog": 1}, {"dog": 1}),
        (settings.Alert(name="a", when="zone_count", zone="door", above=0, for_s=2), {"door": 1}, {"street": 1}),
    ],
    ids=["a label", "all labels", "a zone"],
)
def test_what_is_seen_is_watched_as_well(alert: settings.Alert, seen: dict[str, int], not_seen: dict[str, int]) -> None:
    device = Device(alert)
    for _ in range(5):
        device.second()  # nothing is settled yet, so nothing is known
    for counts in (not_seen, seen, not_seen):
        of_zones = alert.when == "zone_count"
        device.figures.settled("cam", LabelSummary({}, counts) if of_zones else LabelSummary(counts))
        for _ in range(5):
            device.second()
    assert [event["kind"] for event in device.events()] == ["alert.raised", "alert.cleared"]
    assert device.events()[0]["pipeline"] == "cam"


def test_a_low_score_is_watched_and_no_result_is_no_score() -> None:
    device = Device(settings.Alert(name="a", when="score", below=0.5, for_s=2))
    for score in (0.9, 0.3):
        for _ in range(5):
            device.figures.result("cam", Result(labels=(Label(0, "cat", score),)))
            device.second()
    for _ in range(60):
        device.second()  # nothing is sent: unknown is no reason to clear
    assert [event["message"] for event in device.events()] == ["the best score of its last result is 0.30, below 0.5"]


def test_alerts_are_counted_in_the_metrics() -> None:
    device = Device(settings.Alert(name="a", when="temperature_c", above=40, for_s=0))
    device.second()
    agent = device.figures.report(0).agent
    assert (agent["alerts_raised"], agent["alerts_active"]) == (1, 1)


def test_a_configuration_without_it_ends_it() -> None:
    device = Device(settings.Alert(name="a", when="temperature_c", above=40, for_s=0))
    device.second()
    device.alerting.follow(settings.Config())
    assert [event["kind"] for event in device.events()] == ["alert.raised", "alert.cleared"]


@pytest.mark.parametrize(
    ("alert", "why"),
    [
        (settings.Alert(name="a", when="fps"), "say either above or below"),
        (settings.Alert(name="a", when="fps", above=1, below=2), "say either above or below"),
        (settings.Alert(name="a", when="throttled", above=1), "leave above, below and clear away"),
        (settings.Alert(name="a", when="fps", below=5, clear=4), "on the bad side"),
        (settings.Alert(name="a", when="fps", below=5, pipeline="door"), "there is no pipeline 'door'; there are cam"),
        (settings.Alert(name="a", when="temperature_c", above=5, pipeline="cam"), "is the device's"),
        (settings.Alert(name="a", when="fps", below=5, label="cat"), 'label goes with when = "label_count"'),
        (settings.Alert(name="a", when="zone_count", above=5), "zone go together"),
    ],
)
def test_an_alert_that_cannot_be_meant_is_refused(alert: settings.Alert, why: str) -> None:
    assert why in wrong_alerts([alert], ["cam"])
    assert "two alerts are called 'a'" in wrong_alerts([alert, alert], ["cam"])
