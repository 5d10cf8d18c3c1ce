"""Room on the disk, and what is written to it. Formats: statvfs(3), the kernel's Documentation/admin-guide/iostats.rst."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from inferd.meters.open_file import HeldFile
from inferd.records import Unavailable

SECTOR_BYTES = 512  # of /proc/diskstats, whatever the device's own are
NO_DISKS = ("loop", "ram", "zram", "dm-", "md", "sr", "fd")  # nothing of their own, or nothing that wears
_NAME, _READ, _WRITTEN = 2, 5, 9


@dataclass(frozen=True, slots=True)
class Sectors:
    """What all disks together have read and written since boot."""

    read: int
    written: int


class DiskMeter:
    """Measures the disks from its construction on. Owned by one thread; `close` closes the descriptor."""

    def __init__(self, folder: Path, root: Path = Path("/")) -> None:
        """Measure the room where `folder` is or will be, and the traffic of all disks below `root`."""
        self._folder = folder
        self._held = HeldFile(root / "proc/diskstats")
        blocks = sorted((root / "sys/block").glob("*"))
        self._disks = frozenset(os.fsencode(disk.name) for disk in blocks if not disk.name.startswith(NO_DISKS))
        self._began = self._sectors()

    def sample(self) -> dict[str, float | Unavailable | None]:
        """Return disk_total_mb, disk_free_mb, and disk_read_mb and disk_written_mb since the construction."""
        return {**self.room(), **self._traffic()}

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        self._held.close()

    def room(self) -> dict[str, float | Unavailable | None]:
        """Return disk_total_mb and disk_free_mb."""
        place = next((one for one in (self._folder, *self._folder.parents) if one.exists()), Path("/"))
        try:
            told = os.statvfs(place)
        except OSError as exc:
            why = Unavailable(f"{place} cannot be read ({exc.strerror})")
            return {"disk_total_mb": why, "disk_free_mb": why}
        total, free = told.f_blocks * told.f_frsize / 1e6, told.f_bavail * told.f_frsize / 1e6
        return {"disk_total_mb": total, "disk_free_mb": free}

    def _traffic(self) -> dict[str, float | Unavailable | None]:
        now = self._sectors()
        if isinstance(self._began, Unavailable):
            self._began = now
        if isinstance(now, Unavailable) or isinstance(self._began, Unavailable):
            return {"disk_read_mb": now, "disk_written_mb": now} if isinstance(now, Unavailable) else {}
        return {
            "disk_read_mb": (now.read - self._began.read) * SECTOR_BYTES / 1e6,
            "disk_written_mb": (now.written - self._began.written) * SECTOR_BYTES / 1e6,
        }

    def _sectors(self) -> Sectors | Unavailable:
        if not self._disks:
            return Unavailable("this device has no disks of its own (containers have none)")
        return self._held.parsed(lambda stats: parse_sectors(stats, self._disks))


def parse_sectors(diskstats: bytes, disks: frozenset[bytes]) -> Sectors:
    """Return the sums over these disks; partitions are parts of them and do not count."""
    rows = [row for line in diskstats.splitlines() if (row := line.split())[_NAME] in disks]
    return Sectors(sum(int(row[_READ]) for row in rows), sum(int(row[_WRITTEN]) for row in rows))
