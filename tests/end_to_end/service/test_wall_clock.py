"""The wall clock dates what is said and does nothing else: when it jumps, no duration, deadline, window or order changes."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import inferd
from fixtures.agents.agent import Whole, run_whole
from fixtures.agents.fake_pipeline import fake, pipeline
from inferd.config import settings
from inferd.system.clock import SystemClock

HOUR_S = 3600.0
DATES = {
    "cli/setup/support_bundle.py": "names and dates the bundle",
    "control/reporting/publisher.py": "dates messages",
    "control/models/persistent_model_state.py": "dates the log of models",
    "control/models/candidate_queues.py": "dates the log of models",
    "control/models/trials.py": "dates the log of models",
    "control/commands/model_commands.py": "dates the log of models",
    "control/models/select_serving.py": "dates the log of models",
    "control/reporting/clock_watch.py": "watches the clock itself",
    "control/models/vetting.py": "dates the log of models",
    "control/models/sleeping_pipelines.py": "compares with schedules",
    "control/service.py": "dates labels",
    "doctor/checks/broker.py": "compares with a certificate",
    "doctor/checks/system.py": "judges the clock itself",
    "selftest/runner.py": "dates the report",
    "system/clock.py": "is the clock",
    "telemetry/spool/spool.py": "dates records, whose order is that of their numbers",
    "worker/capture.py": "dates frames",
}


class Mad(SystemClock):
    """A clock that is set at every look: hours ahead, hours back, to 1970. Its monotonic side is the machine's."""

    def __init__(self) -> None:
        super().__init__()
        machine = self.wall_s
        ways = itertools.cycle((7 * HOUR_S, -7 * HOUR_S, 0.0, -50 * 365 * 24 * HOUR_S))
        self.wall_s = lambda: machine() + next(ways)


class MadAltogether(Mad):
    """The negative control: what happens to an agent that takes its durations from such a clock."""

    def __init__(self) -> None:
        super().__init__()
        self.monotonic_ns = lambda: int(self.wall_s() * 1e9)


def cameras() -> settings.Pipeline:
    """Return a pipeline of 40 frames at 20 a second."""
    source = settings.SyntheticSource(width=32, height=32, frames=40)
    return pipeline("cam", source=source, pace=settings.Pace(mode="fixed", fps=20.0), engine=fake())


def served(whole: Whole) -> bool:
    """Whether no frame is missing, nobody was restarted, and the figures are those of a run of some seconds."""
    figures = whole.bodies("metrics")[-1]
    frames = [result["frame"] for result in whole.bodies("cam/result")]
    harmed = {"worker.died", "worker.hung", "model.rolled_back", "model.quarantined"} & set(whole.events())
    return (
        frames == list(range(40))
        and not harmed
        and 1.0 < figures["uptime_s"] < 60.0
        and 0.0 < figures["interval_s"] < 60.0
    )


def test_a_clock_that_is_set_by_hours_all_the_time_changes_nothing(tmp_path: Path) -> None:
    whole = run_whole(tmp_path, cameras(), clock=Mad())
    assert served(whole), (whole.events(), whole.bodies("metrics")[-1])
    assert "clock.set" in whole.events()


def test_an_agent_that_took_its_durations_from_such_a_clock_would_be_seen(tmp_path: Path) -> None:
    assert not served(run_whole(tmp_path, cameras(), clock=MadAltogether(), until=lambda whole: whole.events()[9:]))


def test_only_what_dates_something_reads_the_wall_clock() -> None:
    agent = Path(inferd.__file__).parent
    reading = re.compile(r"\bwall_s\(\)|\btime\.time\(|datetime\.now\(")
    found = {str(file.relative_to(agent)) for file in agent.rglob("*.py") if reading.search(file.read_text())}
    assert {file for file in found if not file.startswith("sources/")} == set(DATES)


def test_a_source_reads_the_wall_clock_for_the_date_of_its_frames_only() -> None:
    sources = Path(inferd.__file__).parent / "sources"
    lines = [
        line.strip() for file in sources.glob("*.py") for line in file.read_text().splitlines() if "wall_s" in line
    ]
    assert lines
    assert [line for line in lines if not re.search(r"taken_at|return Frame\(", line)] == []
