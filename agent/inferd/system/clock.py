"""The clock that everything else is given."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

TIMESYNC = Path(
    "/run/systemd/timesync"
)  # systemd-timesyncd's; chrony leaves no word that our unit's hardening lets us read
EARLIEST_S = datetime(2025, 10, 9, tzinfo=UTC).timestamp()
"""Nobody has run inferd before: a board without a clock begins in 1970, or when its systemd was built."""

JUMP_S = 2.0  # NTP slews what is less, and a turn of control may be late by that much


class Clock(Protocol):
    """Tells monotonic and wall time. Intervals use monotonic time; wall time is only for people."""

    def monotonic_ns(self) -> int:
        """Return nanoseconds that never go back; comparable between processes of one boot."""

    def wall_s(self) -> float:
        """Return seconds since the epoch as the system believes them; may jump."""

    def pause(self, seconds: float) -> None:
        """Let so much time pass; only for bounded waits that no stop event needs to end, such as a read's time-out."""


class SystemClock:
    """The machine's clock."""

    def __init__(self) -> None:
        self.monotonic_ns = time.monotonic_ns  # bound here: the loop calls it seven times a tick
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
        """Let the time pass at once."""
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Move both clocks on."""
        self._now_ns += round(seconds * 1e9)
        self._wall_s += seconds

    def set_wall(self, wall_s: float) -> None:
        """Set the wall clock, as NTP or a person does."""
        self._wall_s = wall_s


class Jumps:
    """Notices that the wall clock was set: it moved otherwise than the monotonic one. For one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = self._ahead()

    def look(self) -> float:
        """Return by how many seconds the wall clock was set since the last look; 0.0 where it was not."""
        before_s, now_s = self._ahead_s, self._ahead()
        if abs(now_s - before_s) < JUMP_S:
            return 0.0  # what is less adds up until it is a jump
        self._ahead_s = now_s
        return now_s - before_s

    def _ahead(self) -> float:
        return self._clock.wall_s() - self._clock.monotonic_ns() / 1e9


def is_unsynchronised(wall_s: float, timesync: Path = TIMESYNC) -> bool:
    """Whether it is known that the wall clock cannot be trusted: too early to be true, or not yet set by the network."""
    return wall_s < EARLIEST_S or (timesync.is_dir() and not (timesync / "synchronized").exists())
