"""How much memory the machine has to spare."""

from __future__ import annotations

from pathlib import Path


def total_mb(meminfo: Path = Path("/proc/meminfo")) -> float:
    """Return the board's memory in MB (10^6 bytes)."""
    return int(meminfo.read_text().split("MemTotal:")[1].split()[0]) * 1024 / 1e6


def kills(vmstat: Path = Path("/proc/vmstat")) -> int:
    """Return how many processes the kernel has killed for want of memory since the boot, with or without control groups."""
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return what may be used without swapping, as the kernel estimates it; 0 where it does not tell."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return 0
    told = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(told[0]) * 1024 if told else 0
