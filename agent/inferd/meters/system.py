"""Processor, memory and uptime of the whole device. Formats: proc_stat(5), proc_meminfo(5), proc_uptime(5)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inferd.meters.heat.temperature import ThermalMeter
from inferd.meters.open_file import HeldFile
from inferd.records import Unavailable
from inferd.system.clock import Clock

_IDLE, _IOWAIT, _STEAL = 3, 4, 7


@dataclass(frozen=True, slots=True)
class CpuTicks:
    """Clock ticks of all cores since boot: busy, and all."""

    busy: int
    total: int


@dataclass(frozen=True, slots=True)
class MemoryUse:
    """The kernel's memory in MB (10^6 bytes)."""

    total_mb: float
    available_mb: float


class SystemMeter:
    """Measures the device from its construction on. Owned by one thread; `close` closes the descriptors."""

    def __init__(self, _clock: Clock | None = None, root: Path = Path("/"), *, temperature: bool = True) -> None:
        """Start measuring below `root`; the kernel's counters need no clock of ours."""
        self._stat = HeldFile(root / "proc/stat")
        self._meminfo = HeldFile(root / "proc/meminfo")
        self._uptime = HeldFile(root / "proc/uptime")
        self._thermal = ThermalMeter(root) if temperature else None
        self._before = self._stat.parsed(parse_cpu_ticks)

    def sample(self) -> dict[str, float | Unavailable | None]:
        """Return the readings of the group "system"; cpu_pct since the previous sample, None if that is too soon."""
        memory = self._meminfo.parsed(parse_memory)
        return {
            "uptime_s": self._uptime.parsed(parse_uptime_s),
            "cpu_pct": self._cpu_pct(),
            "memory_total_mb": memory if isinstance(memory, Unavailable) else memory.total_mb,
            "memory_available_mb": memory if isinstance(memory, Unavailable) else memory.available_mb,
            "temperature_c": self._thermal.sample()
            if self._thermal
            else Unavailable("switched off by the configuration"),
        }

    def glance(self) -> dict[str, float | Unavailable | None]:
        """Return memory_available_mb and temperature_c now."""
        memory = self._meminfo.parsed(parse_memory)
        return {
            "memory_available_mb": memory if isinstance(memory, Unavailable) else memory.available_mb,
            "temperature_c": self._thermal.sample() if self._thermal else None,
        }

    def close(self) -> None:
        """Close the descriptors. Idempotent."""
        for held in (self._stat, self._meminfo, self._uptime):
            held.close()
        if self._thermal is not None:
            self._thermal.close()

    def _cpu_pct(self) -> float | Unavailable | None:
        before, now = self._before, self._stat.parsed(parse_cpu_ticks)
        if isinstance(now, Unavailable):
            return now
        if isinstance(before, Unavailable):
            self._before = now
            return None
        if now.total <= before.total:
            return None
        self._before = now
        return busy_pct(before, now)


def busy_pct(before: CpuTicks, now: CpuTicks) -> float:
    """Return the share of processor time used between two readings, 0..100."""
    share = (now.busy - before.busy) / (now.total - before.total)
    return 100 * min(max(share, 0.0), 1.0)  # the kernel's iowait sometimes decreases


def parse_cpu_ticks(stat: bytes) -> CpuTicks:
    """Return the ticks of all cores. Waiting for the disk is idle; a guest's time is part of its host's."""
    if not stat.startswith(b"cpu "):
        raise ValueError("no line of all cores")
    ticks = [int(field) for field in stat[: stat.index(b"\n")].split()[1 : _STEAL + 2]]
    total = sum(ticks)
    return CpuTicks(total - ticks[_IDLE] - ticks[_IOWAIT], total)


def parse_memory(meminfo: bytes) -> MemoryUse:
    """Return total and available memory."""
    return MemoryUse(_kilobytes(meminfo, b"MemTotal:"), _kilobytes(meminfo, b"MemAvailable:"))


def parse_uptime_s(uptime: bytes) -> float:
    """Return seconds since boot."""
    return float(uptime.split()[0])


def _kilobytes(meminfo: bytes, key: bytes) -> float:
    start = meminfo.index(key) + len(key)
    return int(meminfo[start : meminfo.index(b"kB", start)]) * 1024 / 1e6
