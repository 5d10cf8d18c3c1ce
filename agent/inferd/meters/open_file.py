"""Files of /proc and /sys that are read repeatedly through one descriptor: a third of the cost of opening them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from inferd.records import Unavailable

T = TypeVar("T")

LONGEST_BYTES = 16_384  # all that is parsed is at the start of the /proc files


class HeldFile:
    """A file that is opened once. Owned by one thread."""

    def __init__(self, path: Path) -> None:
        """Open `path` at the first read, and retry at each read until it opens."""
        self._path = path
        self._fd = -1

    def read(self) -> bytes | Unavailable:
        """Return its current content, at most LONGEST_BYTES."""
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._fd, LONGEST_BYTES, 0)
        except OSError as exc:
            self.close()
            return Unavailable(f"{self._path} cannot be read ({exc.strerror})")

    def parsed(self, parse: Callable[[bytes], T]) -> T | Unavailable:
        """Return `parse` of the content; Unavailable if it raises ValueError or LookupError."""
        text = self.read()
        if isinstance(text, Unavailable):
            return text
        try:
            return parse(text)
        except (ValueError, LookupError):
            return Unavailable(f"{self._path} has an unexpected format: {text[:60]!r}")

    def close(self) -> None:
        """Close the descriptor. Idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
