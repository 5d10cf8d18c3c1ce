"""Reusable arrays for frames, so that a camera needs no allocation per frame."""

from __future__ import annotations

import sys

import numpy as np

from inferd.records import Array

SIZE = 4  # filling, waiting, in the model, in a viewer


class BufferPool:
    """A few arrays of one shape. Owned by one source thread; frames may hold them as long as they like."""

    def __init__(self, shape: tuple[int, ...], dtype: str = "uint8") -> None:
        """Allocate them all."""
        self._arrays = [np.empty(shape, dtype) for _ in range(SIZE)]
        self._unheld = self._holders(0)
        self._next = 0

    def acquire(self) -> Array:
        """Return an array without other references or views; its content is undefined.

        Where all are in use, a new one is allocated.
        """
        for step in range(SIZE):
            index = (self._next + step) % SIZE
            if self._holders(index) == self._unheld:
                self._next = index + 1
                return self._arrays[index]
        return np.empty_like(self._arrays[0])

    def _holders(self, index: int) -> int:
        return sys.getrefcount(self._arrays[index])  # a view holds its base, so it counts as well
