"""Files of /proc and /sys that are read again and again through one descriptor: a third of the cost of opening them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from inferd.records import Unavailable

T = TypeVar("T")

LONGEST_BYTES = 16_384  # the parts of /proc files that are looked at stand at their beginning


class HeldFile:
    """A file that is opened once. One thread uses it."""

    def __init__(self, path: Path) -> None:
        """Hold `path`, or try again to open it at every read."""
        self._path = path
        self._fd = -1

    def read(self) -> bytes | Unavailable:
        """Return what stands in it now, at most LONGEST_BYTES of it."""
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._fd, LONGEST_BYTES, 0)
        except OSError as exc:
            self.close()
            return Unavailable(f"{self._path} cannot be read ({exc.strerror})")

    def parsed(self, parse: Callable[[bytes], T]) -> T | Unavailable:
        """Return what `parse` makes of it; Unavailable too where `parse` raises ValueError, LookupError."""
        text = self.read()
        if isinstance(text, Unavailable):
            return text
        try:
            return parse(text)
        except (ValueError, LookupError):
            return Unavailable(f"{self._path} does not look as expected: {text[:60]!r}")

    def close(self) -> None:
        """Let go of the descriptor. Twice is fine."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)
