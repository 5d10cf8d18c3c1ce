"""Arrays that are lent to frames and used again, so that a camera costs no allocation a frame."""

from __future__ import annotations

import sys

import numpy as np

from inferd.records import Array

SIZE = 4  # one that fills, one that waits, one in the model, one in somebody's hand


class BufferPool:
    """A few arrays of one shape. Owned by one source thread; frames may hold what it lends as long as they like."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "uint8") -> None:
        """Allocate them all."""
        self._arrays = [np.empty(shape, dtype) for _ in range(SIZE)]
        self._unheld = self._holders(0)
        self._next = 0

    def take(self) -> Array:
        """Return an array that nobody else holds, nor a view of it; its content is whatever it was.

        Where all are held, a new one is made: a reader that keeps frames costs memory, never a torn picture.
        """
        for step in range(SIZE):
            index = (self._next + step) % SIZE
            if self._holders(index) == self._unheld:
                self._next = index + 1
                return self._arrays[index]
        return np.empty_like(self._arrays[0])

    def _holders(self, index: int) -> int:
        return sys.getrefcount(self._arrays[index])  # a view holds its base, so it counts as well
