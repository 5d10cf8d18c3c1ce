"""How much memory the machine has to spare."""

from __future__ import annotations

from collections.abc import Iterator
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


def available_bytes(root: Path = Path("/")) -> int:
    """Return what may be used without swapping: as the kernel estimates it, and our control groups allow; 0 if unknown."""
    told = [line for line in _lines(root / "proc/meminfo") if line.startswith("MemAvailable:")]
    if not told:
        return 0
    return min([int(told[0].split()[1]) * 1024, *_left_in_groups(root)])


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield what is left below each limit of our control group and those around it (cgroup v2); pages of files can go."""
    ours = next((line[3:] for line in _lines(root / "proc/self/cgroup") if line.startswith("0::")), "")
    mount = root / "sys/fs/cgroup"
    group = mount / ours.strip().lstrip("/")
    for folder in (group, *group.parents):
        limit, used = _lines(folder / "memory.max"), _lines(folder / "memory.current")
        if limit and used and limit[0].isdigit():
            stat = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat"))
            yield max(0, int(limit[0]) - int(used[0]) + int(stat.get("inactive_file", 0)))
        if folder == mount:
            return


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except OSError:
        return []
