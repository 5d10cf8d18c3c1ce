"""Memory of the machine and of our control groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def total_mb(meminfo: Path = Path("/proc/meminfo")) -> float:
    """Return the board's memory in MB (10^6 bytes)."""
    return int(meminfo.read_text().split("MemTotal:")[1].split()[0]) * 1024 / 1e6


def kills(vmstat: Path = Path("/proc/vmstat")) -> int:
    """Return how many processes the kernel has killed for lack of memory since boot, with or without control groups."""
    try:
        lines = vmstat.read_text(errors="replace").splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def limit_bytes(root: Path = Path("/")) -> int:
    """Return the board's memory, or less where our control groups allow less; 0 if unknown."""
    total = [line for line in _lines(root / "proc/meminfo") if line.startswith("MemTotal:")]
    limits = [
        int(limit[0]) for group in _groups(root) if (limit := _lines(group / "memory.max")) and limit[0].isdigit()
    ]
    return min([int(total[0].split()[1]) * 1024, *limits]) if total else 0


def available_bytes(root: Path = Path("/")) -> int:
    """Return what can be used without swapping: the kernel's estimate, within our control groups' limits; 0 if unknown."""
    estimates = [line for line in _lines(root / "proc/meminfo") if line.startswith("MemAvailable:")]
    if not estimates:
        return 0
    return min([int(estimates[0].split()[1]) * 1024, *_left_in_groups(root)])


def _left_in_groups(root: Path) -> Iterator[int]:
    """Yield what is left below each limit of our control groups; file pages can be reclaimed."""
    for folder in _groups(root):
        limit, used = _lines(folder / "memory.max"), _lines(folder / "memory.current")
        if limit and used and limit[0].isdigit():
            stat = dict(line.split(" ", 1) for line in _lines(folder / "memory.stat"))
            yield max(0, int(limit[0]) - int(used[0]) + int(stat.get("inactive_file", 0)))


def _groups(root: Path) -> Iterator[Path]:
    """Yield the folder of our control group and of those around it (cgroup v2)."""
    ours = next((line[3:] for line in _lines(root / "proc/self/cgroup") if line.startswith("0::")), "")
    mount = root / "sys/fs/cgroup"
    group = mount / ours.strip().lstrip("/")
    for folder in (group, *group.parents):
        yield folder
        if folder == mount:
            return


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
