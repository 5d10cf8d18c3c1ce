"""A file that only grows, and whose growth is synced when its owner asks for it."""

from __future__ import annotations

import os
from pathlib import Path

from inferd.system.files.atomic import DISK, Disk

PRIVATE = 0o600


class AppendFile:
    """Open for appending. Owned by one thread; whatever the disk refuses is an OSError."""

    def __init__(self, path: Path, disk: Disk = DISK) -> None:
        """Open `path`, and make it where it is missing; its name is on the disk once its folder was synced.

        Raises:
            OSError: the disk refuses.
        """
        self.path = path
        self._disk = disk
        self._fd = disk.open_append(path, PRIVATE)
        self.size_bytes = os.fstat(self._fd).st_size

    def append(self, data: bytes) -> None:
        """Write at the end; after a power cut some, all or none of it is there until `sync`.

        Raises:
            OSError: the disk refuses; a part may have been written.
        """
        self._disk.append(self._fd, data)
        self.size_bytes += len(data)

    def sync(self) -> None:
        """Wait until all that was written is on the disk.

        Raises:
            OSError: the disk refuses; nobody knows how much of it is there.
        """
        self._disk.fsync(self._fd)

    def cut_back(self) -> None:
        """Take away what an `append` left that failed.

        Raises:
            OSError: the disk refuses.
        """
        os.ftruncate(self._fd, self.size_bytes)

    def empty(self) -> None:
        """Forget all content.

        Raises:
            OSError: the disk refuses.
        """
        os.ftruncate(self._fd, 0)
        self.size_bytes = 0

    def close(self) -> None:
        """Let go of the file. Twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
