from __future__ import annotations

from inferd.config.telemetry import Alert
from inferd.health.alerts import Alerts

SLOW = Alert(name="slow", when="latency_p95_ms", above=50.0, for_s=2.0)
FULL = Alert(name="full", when="disk_free_mb", below=500.0, for_s=0.0, severity="error")


def test_an_alert_without_a_pipeline_watches_each_by_itself() -> None:
    alerts = Alerts([SLOW])
    for now_s in (0.0, 2.0):
        changes = alerts.look({("latency_p95_ms", "a"): 80.0, ("latency_p95_ms", "b"): 8.0}, now_s)
    assert [(change.pipeline, change.raised) for change in changes] == [("a", True)]


def test_it_is_told_once_when_it_begins_and_once_when_it_is_over() -> None:
    alerts = Alerts([FULL])
    told = [alerts.look({("disk_free_mb", ""): free}, now_s) for now_s, free in enumerate([400, 300, 200, 600, 700])]
    assert [[change.raised for change in changes] for changes in told] == [[True], [], [], [False], []]
    assert told[0][0].why == "room on the disk is 400.0 MB, below 500"
    assert (told[3][0].why, told[3][0].lasted_s) == ("room on the disk is 600.0 MB, no longer below 500", 3.0)


def test_an_alert_of_a_pipeline_that_is_gone_is_over() -> None:
    alerts = Alerts([SLOW])
    for now_s in (0.0, 2.0):
        alerts.look({("latency_p95_ms", "a"): 80.0}, now_s)
    changes = alerts.look({}, 5.0)
    assert [(change.raised, change.why) for change in changes] == [(False, "its pipeline is gone")]
    assert alerts.look({}, 6.0) == []
    assert alerts.active == []


def test_a_new_configuration_ends_what_it_no_longer_says_and_keeps_the_rest() -> None:
    alerts = Alerts([SLOW, FULL])
    for now_s in (0.0, 2.0):
        alerts.look({("latency_p95_ms", "a"): 80.0, ("disk_free_mb", ""): 1.0}, now_s)
    ended = alerts.follow([FULL], 3.0)
    assert [change.alert.name for change in ended] == ["slow"]
    assert alerts.active == [(FULL, "")]
    assert alerts.look({("disk_free_mb", ""): 1.0}, 4.0) == []


def test_an_alert_of_another_pipeline_does_not_look_here() -> None:
    alerts = Alerts([Alert(name="slow", when="fps", below=5.0, pipeline="a", for_s=0.0)])
    assert [change.pipeline for change in alerts.look({("fps", "a"): 1.0, ("fps", "b"): 1.0}, 0.0)] == ["a"]
