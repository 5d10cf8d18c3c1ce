"""A file that only grows and is synced when its owner asks for it."""

from __future__ import annotations

import os
from pathlib import Path

from inferd.system.files.atomic import DISK, Disk

PRIVATE = 0o600


class AppendFile:
    """Open for appending. Owned by one thread; what the disk refuses is an OSError."""

    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        """Open `path`, creating it if needed; its name is durable once its folder is synced.

        Raises:
            OSError: the disk refuses.
        """
        self.path = path
        self._disk = disk
        self._fd = disk.open_append(path, PRIVATE)
        self.size_bytes = os.fstat(self._fd).st_size

    def append(self, data: bytes) -> None:
        """Append; until `sync`, a power cut may leave all, part or none of it.

        Raises:
            OSError: the disk refuses; a part may have been written.
        """
        self._disk.append(self._fd, data)
        self.size_bytes += len(data)

    def sync(self) -> None:
        """Wait until everything written is on the disk.

        Raises:
            OSError: the disk refuses; how much was written is unknown.
        """
        self._disk.fsync(self._fd)

    def cut_back(self) -> None:
        """Remove what a failed `append` left.

        Raises:
            OSError: the disk refuses.
        """
        os.ftruncate(self._fd, self.size_bytes)

    def empty(self) -> None:
        """Truncate to nothing.

        Raises:
            OSError: the disk refuses.
        """
        os.ftruncate(self._fd, 0)
        self.size_bytes = 0

    def close(self) -> None:
        """Close the file. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
