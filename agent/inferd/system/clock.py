"""The clock that is handed to everything that needs the time."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

# systemd-timesyncd's; chrony has no such file that our unit's hardening lets us read
TIMESYNC = Path("/run/systemd/timesync")
EARLIEST_S = datetime(2025, 10, 9, tzinfo=UTC).timestamp()
"""Before inferd existed: a board without a clock starts in 1970, or when its systemd was built."""

JUMP_S = 2.0  # NTP slews smaller differences, and control may look that late


class Clock(Protocol):
    """Monotonic and wall time. Intervals use monotonic time; wall time is only for people."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go back; comparable between processes of one boot."""

    def wall_s(self) -> float:
        """Return seconds since the epoch by the system's clock; may jump."""

    def pause(self, seconds: float) -> None:
        """Wait; only for bounded waits that no stop event has to end, such as a read's time-out."""


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self.monotonic_ns = time.monotonic_ns  # bound here: the loop calls it seven times a frame
        self.wall_s = time.time
        self.pause = time.sleep


class CountingClock:
    """A shipped fake: stands still until `advance` is called."""

    def __init__(self, start_ns: int = 1_000_000_000, wall_s: float = 1_700_000_000.0) -> None:
        self._now_ns = start_ns
        self._wall_s = wall_s

    def monotonic_ns(self) -> int:
        """Return the time that was set."""
        return self._now_ns

    def wall_s(self) -> float:
        """Return the wall time that was set."""
        return self._wall_s

    def pause(self, seconds: float) -> None:
        """Advance the clock at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Advance both clocks."""
        self._now_ns += round(seconds * 1e9)
        self._wall_s += seconds

    def set_wall(self, wall_s: float) -> None:
        """Set the wall clock, as NTP or a person does."""
        self._wall_s = wall_s


class Jumps:
    """Detects that the wall clock was set, by comparing it with the monotonic clock. For one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = self._ahead()

    def look(self) -> float:
        """Return by how many seconds the wall clock was set since the last call; 0.0 if it was not."""
        before_s, now_s = self._ahead_s, self._ahead()
        if abs(now_s - before_s) < JUMP_S:
            return 0.0  # smaller differences add up until they are a jump
        self._ahead_s = now_s
        return now_s - before_s

    def _ahead(self) -> float:
        return self._clock.wall_s() - self._clock.monotonic_ns() / 1e9


def is_unsynchronised(wall_s: float, timesync: Path = TIMESYNC) -> bool:
    """Whether the wall clock is known to be wrong: impossibly early, or not yet set by NTP."""
    return wall_s < EARLIEST_S or (timesync.is_dir() and not (timesync / "synchronized").exists())
