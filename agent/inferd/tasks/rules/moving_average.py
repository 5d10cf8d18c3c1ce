"""The mean over the last frames: what one window of sound says is noise, what ten agree on is a word."""

from __future__ import annotations

from collections import deque

import numpy as np

from inferd.records import Array


class Average:
    """Remembers the scores of the last frames, or the sum of all of them. Owned by one task."""

    def __init__(self, frames: int | None) -> None:
        """Begin without any.

        Args:
            frames: how many; None or 1 is no mean at all, 0 is all that ever came.
        """
        self._frames = 1 if frames is None else frames
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self._last: deque[Array] = deque(maxlen=max(self._frames, 1))
        self._sum = np.zeros(0)
        self._count = 0

    def __call__(self, scores: Array) -> Array:
        """Take (n,) float32 scores of one frame and return the (n,) float32 mean up to it."""
        if self._frames == 1:
            return scores
        if self._frames == 0:
            self._sum = scores.astype(np.float64) if self._count == 0 else self._sum + scores
            self._count += 1
            mean: Array = (self._sum / self._count).astype(np.float32)
            return mean
        self._last.append(scores.copy())
        windowed: Array = np.stack(self._last).mean(axis=0, dtype=np.float64).astype(np.float32)
        return windowed
