"""The clock that everything else is given."""

from __future__ import annotations

import time
from typing import Protocol


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
