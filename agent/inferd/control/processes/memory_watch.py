"""Whether the worker keeps to its memory. It acts before the kernel would, and where the memory cgroup is off, as on a Pi.

The kernel kills when all memory is gone, picks the process itself, and until then the whole board is slow. The pages of
a process are counted as shares (PSS), so that what it shares with the fork server is not held against it. Counting them walks
them all, so it is done only where the resident set, which costs 3 us to read and is never less, gives reason.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from inferd.meters.process import ProcessMeter
from inferd.records import Unavailable
from inferd.system import memory
from inferd.system.clock import Clock
from inferd.system.processes.process import Exit

SHARE = 0.7  # of the board's memory, where nothing else is configured; the kernel's own limits for us begin at 0.8
TIGHT = 0.85  # of the limit
EASED = 0.75
LOOK_S = 1.0
COUNT_S = 5.0


class MemoryWatch:
    """Watches one worker after the other. Owned by control's main thread."""

    def __init__(self, clock: Clock, report_tight: Callable[[float, float], None], root: Path = Path("/")) -> None:
        """Prepare.

        Args:
            clock: times the looks.
            report_tight: called once when a worker nears its limit, with its MB and the limit.
            root: the folder that holds proc/.
        """
        self._clock = clock
        self._report_tight = report_tight
        self._root = root
        self._meter: ProcessMeter | None = None
        self._limit_mb = 0.0
        self._looked_ns = 0
        self._tight = False
        self._kills = 0

    def begin(self, pid: int, limit_mb: float) -> None:
        """Watch process `pid`, which may have `limit_mb` (10^6 bytes); 0 is a share of the board's memory."""
        self.end()
        self._meter = ProcessMeter(pid, self._clock, self._root, pss_every_s=COUNT_S)
        self._limit_mb = limit_mb or SHARE * memory.total_mb(self._root / "proc/meminfo")
        self._looked_ns = self._clock.monotonic_ns()
        self._tight = False
        self._kills = self._kernel_kills()

    def excess(self) -> str:
        """Look, once a second; return in words what the process takes beyond its limit, "" where it does not."""
        now_ns = self._clock.monotonic_ns()
        if self._meter is None or now_ns - self._looked_ns < LOOK_S * 1e9:
            return ""
        self._looked_ns = now_ns
        size_mb = self._count(self._meter)
        before, self._tight = self._tight, is_tight(size_mb, self._limit_mb, was=self._tight)
        if size_mb > self._limit_mb:
            return f"grew to {size_mb:.0f} MB, beyond {self._limit_mb:.0f} MB (watch.memory_max_mb)"
        if self._tight and not before:
            self._report_tight(size_mb, self._limit_mb)
        return ""

    def starved(self, ended: Exit | None) -> bool:
        """Whether a process that ended so was killed by the kernel for want of memory, as far as one can tell."""
        return ended is not None and ended.signal == signal.SIGKILL and self._kernel_kills() > self._kills

    def end(self) -> None:
        """Stop watching. Idempotent."""
        if self._meter is not None:
            self._meter.close()
        self._meter = None

    def _count(self, meter: ProcessMeter) -> float:
        resident_mb = meter.resident_mb()
        if isinstance(resident_mb, Unavailable):
            return 0.0
        if resident_mb < EASED * self._limit_mb:
            return resident_mb
        counted_mb = meter.pss_mb(now=resident_mb > self._limit_mb)
        return counted_mb if isinstance(counted_mb, float) else resident_mb

    def _kernel_kills(self) -> int:
        return memory.kills(self._root / "proc/vmstat")


def is_tight(pss_mb: float, limit_mb: float, *, was: bool) -> bool:
    """Whether memory is nearly gone; once it was, it is until there is clearly more."""
    return pss_mb > (EASED if was else TIGHT) * limit_mb
