"""When pipelines sleep: outside their schedule, and from a request until another one."""

from __future__ import annotations

from datetime import datetime

from fixtures.agents.fake_pipeline import pipeline
from inferd.config import settings
from inferd.control.models.sleeping_pipelines import SleepingPipelines
from inferd.system.clock import CountingClock

NINE_TO_FIVE = settings.Schedule(days=("mon", "tue", "wed", "thu", "fri"), begins="09:00", ends="17:00")


def local(text: str) -> float:
    return datetime.fromisoformat(text).astimezone().timestamp()


def at(wall: str, *pipelines: settings.Pipeline) -> tuple[SleepingPipelines, CountingClock]:
    clock = CountingClock()
    clock.wall_s = lambda: local(wall) + clock.monotonic_ns() / 1e9  # type: ignore[method-assign]  # a clock set by hand
    sleeping = SleepingPipelines(clock)
    sleeping.configure(pipelines)
    return sleeping, clock


def test_a_pipeline_sleeps_outside_its_schedule_and_says_when_it_starts() -> None:
    sleeping, clock = at("2026-11-27 16:59:58", pipeline("cam", schedule=(NINE_TO_FIVE,)), pipeline("door"))
    assert sleeping.turn() == set()
    clock.advance(3.0)
    assert sleeping.turn() == {"cam"}
    assert sleeping.why("cam") == "outside its schedule; it starts on Mon at 09:00"
    assert sleeping.names() == {"cam"}
    clock.advance(2 * 86_400 + 16 * 3600)
    assert sleeping.turn() == {"cam"}
    assert sleeping.why("cam") == ""


def test_a_request_puts_a_pipeline_to_sleep_until_another_wakes_it() -> None:
    sleeping, clock = at("2026-11-27 12:00:00", pipeline("cam"), pipeline("door"))
    sleeping.sleep("cam")
    assert sleeping.turn() == {"cam"}
    clock.advance(86_400)
    assert sleeping.turn() == set()
    assert "pipeline/wake" in sleeping.why("cam")
    sleeping.wake("cam")
    assert sleeping.turn() == {"cam"}


def test_a_request_does_not_wake_a_pipeline_outside_its_schedule() -> None:
    sleeping, _ = at("2026-11-28 12:00:00", pipeline("cam", schedule=(NINE_TO_FIVE,)))
    sleeping.wake("cam")
    sleeping.turn()
    assert sleeping.why("cam").startswith("outside its schedule")


def test_a_reload_leaves_asleep_what_a_request_put_to_sleep() -> None:
    sleeping, _ = at("2026-11-27 12:00:00", pipeline("cam"), pipeline("door"))
    sleeping.sleep("cam")
    sleeping.turn()
    sleeping.configure((pipeline("cam"),))
    assert sleeping.turn() == set()
    assert sleeping.why("cam")


def test_a_board_that_does_not_know_the_time_runs() -> None:
    sleeping, _ = at("1970-01-02 03:00:00", pipeline("cam", schedule=(NINE_TO_FIVE,)))
    assert sleeping.turn() == set()
