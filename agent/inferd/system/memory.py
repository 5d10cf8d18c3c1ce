"""How much memory the machine has to spare."""

from __future__ import annotations

from pathlib import Path


def available_bytes(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Return what may be used without swapping, as the kernel estimates it; 0 where it does not tell."""
    try:
        lines = meminfo.read_text().splitlines()
    except OSError:
        return 0
    told = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(told[0]) * 1024 if told else 0
