"""Samples that come as they come, cut into windows of one length that may overlap. Pure."""

from __future__ import annotations

import numpy as np

from inferd.errors import SourceError
from inferd.records import Array

LARGEST_SAMPLES = 16_000_000  # of all channels of one window: 64 MB


class Windows:
    """Cuts samples (n, channels) into windows (window, channels) float32. Owned by one source thread."""

    def __init__(self, part: str, window: int, hop: int, channels: int) -> None:
        """Make room for one window.

        Args:
            part: named in errors.
            window: samples in a window.
            hop: from the start of one to the start of the next; 0 is `window`.
            channels: of each sample.

        Raises:
            SourceError: the numbers make no window.
        """
        if window < 1 or hop < 0 or channels < 1 or window * channels > LARGEST_SAMPLES:
            limit = f"window is 1 to {LARGEST_SAMPLES // max(1, channels):,} samples and hop not negative"
            raise SourceError(part, f"window is {window} and hop {hop}; {limit}")
        self._hop = hop or window
        self._samples = np.empty((window, channels), np.float32)
        self._have = 0
        self._skip = 0
        self._fresh = 0
        self.given = 0
        """How many windows there were; window n begins at sample n * hop."""

    @property
    def start(self) -> int:
        """The number of the sample with which the last window that was given begins."""
        return (self.given - 1) * self._hop

    @property
    def needed(self) -> int:
        """How many samples are still needed for a whole window."""
        return self._skip + len(self._samples) - self._have

    def add(self, samples: Array) -> Array | None:
        """Take at most `needed` samples; return the window where it is whole now, to keep."""
        skipped = min(self._skip, len(samples))
        self._skip -= skipped
        kept = samples[skipped:]
        self._samples[self._have : self._have + len(kept)] = kept
        self._have += len(kept)
        self._fresh += len(kept)
        return self._pop() if self._have == len(self._samples) else None

    def flush(self, fill: float) -> Array | None:
        """Return the last window, its end filled with `fill`; None where all its samples were in one before."""
        if not self._fresh:
            return None
        self._samples[self._have :] = fill
        return self._pop()

    def _pop(self) -> Array:
        window = self._samples.copy()
        overlap = max(0, len(window) - self._hop)
        self._samples[:overlap] = window[len(window) - overlap :]
        self._have = overlap
        self._skip = max(0, self._hop - len(window))
        self._fresh = 0
        self.given += 1
        return window
