"""Which pipelines sleep: source closed and engine freed, by their schedule or by command. Rules but for the clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from inferd.config import settings
from inferd.system.clock import Clock
from inferd.tasks.rules.schedule import is_open, minutes

LOOK_S = 1.0
COMMANDED = "put to sleep by request; it runs again with `pipeline/wake`, or when the agent restarts"


class SleepingPipelines:
    """Owned by control's main thread."""

    def __init__(self, clock: Clock) -> None:
        """Start without pipelines."""
        self._clock = clock
        self._looked_ns = 0
        self._pipelines: tuple[settings.Pipeline, ...] = ()
        self._commanded: set[str] = set()
        self._why: dict[str, str] = {}

    def why(self, pipeline: str) -> str:
        """Return why a pipeline sleeps; "" where it does not."""
        return self._why.get(pipeline, "")

    def names(self) -> set[str]:
        """Return the pipelines that sleep."""
        return set(self._why)

    def configure(self, pipelines: Sequence[settings.Pipeline]) -> None:
        """Judge these pipelines from now on; what was put to sleep by command goes on sleeping."""
        self._pipelines = tuple(pipelines)
        self._commanded &= {one.name for one in pipelines}
        self._looked_ns = 0

    def sleep(self, pipeline: str) -> None:
        """Put a pipeline to sleep at the next turn."""
        self._commanded.add(pipeline)
        self._looked_ns = 0

    def wake(self, pipeline: str) -> None:
        """Undo `sleep`; a pipeline outside its schedule goes on sleeping."""
        self._commanded.discard(pipeline)
        self._looked_ns = 0

    def turn(self) -> set[str]:
        """Look, once a second; return the pipelines that fell asleep or woke."""
        now_ns = self._clock.monotonic_ns()
        if self._looked_ns and now_ns - self._looked_ns < LOOK_S * 1e9:
            return set()
        self._looked_ns = max(1, now_ns)
        before, wall_s = self._why, self._clock.wall_s()
        self._why = {one.name: why for one in self._pipelines if (why := self._judge(one, wall_s))}
        return before.keys() ^ self._why.keys()

    def _judge(self, pipeline: settings.Pipeline, wall_s: float) -> str:
        if pipeline.name in self._commanded:
            return COMMANDED
        if is_open(pipeline.schedule, wall_s):
            return ""
        before = self._why.get(pipeline.name, "")
        return before if before not in ("", COMMANDED) else f"outside its schedule; {_opens(pipeline.schedule, wall_s)}"


def _opens(schedules: Sequence[settings.Schedule], wall_s: float) -> str:
    """Return in words when the next schedule opens."""
    now = datetime.fromtimestamp(wall_s, tz=UTC).astimezone()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    starts = [
        midnight + timedelta(days=day, minutes=minutes(schedule.begins)) for day in range(8) for schedule in schedules
    ]
    opening = [start for start in starts if start > now and is_open(schedules, start.timestamp())]
    return f"it starts on {min(opening):%a at %H:%M}" if opening else "it never opens"
