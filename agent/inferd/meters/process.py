"""Processor time and memory of one process. Formats: proc_pid_stat(5), proc_pid_statm(5), proc_pid_smaps(5)."""

from __future__ import annotations

import os
from pathlib import Path

from inferd.meters.open_file import HeldFile
from inferd.records import Unavailable
from inferd.system.clock import Clock

PSS_EVERY_S = 60.0  # the kernel walks all pages for it: 100 µs and more, against 3 µs for the rest
_UTIME, _STIME = 11, 12  # counted from the field after the command's closing bracket
_RESIDENT = 1


class ProcessMeter:
    """Measures one process from its construction on. Owned by one thread; `close` closes the descriptors."""

    def __init__(self, pid: int, clock: Clock, root: Path = Path("/"), pss_every_s: float = PSS_EVERY_S) -> None:
        """Start measuring.

        Args:
            pid: the process.
            clock: for the time between two samples.
            root: the folder that holds proc/.
            pss_every_s: how old a PSS may become before it is measured again; 0 never measures it.
        """
        folder = root / "proc" / str(pid)
        self._stat = HeldFile(folder / "stat")
        self._statm = HeldFile(folder / "statm")
        self._smaps = HeldFile(folder / "smaps_rollup")
        self._clock = clock
        self._page_bytes = os.sysconf("SC_PAGE_SIZE")
        self._tick_s = 1 / os.sysconf("SC_CLK_TCK")
        self._pss_every_ns = round(pss_every_s * 1e9)
        self._pss_mb: float | Unavailable | None = None
        self._pss_ns = 0
        self._before_ns = clock.monotonic_ns()
        self._before = self._stat.parsed(parse_cpu_ticks)

    def sample(self) -> dict[str, float | Unavailable | None]:
        """Return cpu_pct (of one core, since the previous sample), rss_mb and pss_mb; None if it is too soon."""
        now_ns = self._clock.monotonic_ns()
        return {"cpu_pct": self._cpu_pct(now_ns), "rss_mb": self.resident_mb(), "pss_mb": self._recent_pss_mb(now_ns)}

    def pss_mb(self, *, now: bool) -> float | Unavailable | None:
        """Return the proportional set size, up to PSS_EVERY_S old; `now` measures at once."""
        if now:
            self._pss_mb = None
        return self._recent_pss_mb(self._clock.monotonic_ns())

    def close(self) -> None:
        """Close the descriptors. Idempotent."""
        for held in (self._stat, self._statm, self._smaps):
            held.close()

    def _cpu_pct(self, now_ns: int) -> float | Unavailable | None:
        before, before_ns = self._before, self._before_ns
        now = self._stat.parsed(parse_cpu_ticks)
        if isinstance(now, Unavailable):
            return now
        if now_ns <= before_ns:
            return None
        self._before, self._before_ns = now, now_ns
        return (
            None
            if isinstance(before, Unavailable)
            else 100 * (now - before) * self._tick_s * 1e9 / (now_ns - before_ns)
        )

    def resident_mb(self) -> float | Unavailable:
        """Return the resident set size, including shared pages."""
        pages = self._statm.parsed(parse_resident_pages)
        return pages if isinstance(pages, Unavailable) else pages * self._page_bytes / 1e6

    def _recent_pss_mb(self, now_ns: int) -> float | Unavailable | None:
        if not self._pss_every_ns:
            return None
        if self._pss_mb is None or now_ns - self._pss_ns >= self._pss_every_ns:
            self._pss_ns = now_ns
            self._pss_mb = self._smaps.parsed(parse_pss_mb)
        return self._pss_mb


def parse_cpu_ticks(stat: bytes) -> int:
    """Return user and system time in clock ticks; the command's name may contain brackets."""
    fields = stat[stat.rindex(b")") + 2 :].split()
    return int(fields[_UTIME]) + int(fields[_STIME])


def parse_resident_pages(statm: bytes) -> int:
    """Return the resident set size in pages."""
    return int(statm.split()[_RESIDENT])


def parse_pss_mb(smaps_rollup: bytes) -> float:
    """Return the proportional set size in MB (10^6 bytes)."""
    return int(smaps_rollup.split(b"\nPss:", 1)[1].split(None, 1)[0]) * 1024 / 1e6
