"""What a pipeline said last does not stand while it sleeps."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from fixtures.agents.agent import Whole, run_whole
from fixtures.agents.fake_pipeline import pipeline
from inferd.config import settings
from inferd.system.clock import SystemClock

HOUR_S = 3600.0


def test_a_pipeline_that_falls_asleep_says_that_nothing_is_there(tmp_path: Path) -> None:
    clock = SystemClock()
    now = datetime.now(tz=UTC).astimezone()
    begins, ends = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (-2, 2))
    cam = pipeline(schedule=(settings.Schedule(begins=begins, ends=ends),), pace=settings.Pace(mode="fixed", fps=30))

    def asleep(whole: Whole) -> bool:
        if whole.bodies("cam/state"):
            machine = SystemClock().wall_s
            clock.wall_s = lambda: machine() + 5 * HOUR_S
        return any(state["status"] == "sleeping" for state in whole.bodies("cam/status"))

    whole = run_whole(tmp_path, cam, clock=clock, until=asleep, patience_s=20)
    states = whole.bodies("cam/state")
    assert states[0]["counts"] == {"class 1": 1}
    assert states[-1]["counts"] == {}
