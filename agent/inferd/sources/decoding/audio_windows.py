"""Sound as it comes, brought to the rate that is wanted and cut into windows. Pure."""

from __future__ import annotations

import numpy as np

from inferd.errors import SourceError
from inferd.records import Array
from inferd.sources.decoding import pcm
from inferd.sources.decoding.resample import Resampler
from inferd.sources.decoding.sliding_windows import Windows


class Sound:
    """Makes windows (window, channels) float32 of samples. Owned by one source thread."""

    def __init__(self, part: str, rates_hz: tuple[float, float], window: int, hop: int, channels: int) -> None:
        """Begin empty.

        Args:
            part: named in errors.
            rates_hz: of the samples that come, and of the windows; 0 as the second leaves the rate as it is.
            window: samples in a window.
            hop: from the start of one to the start of the next; 0 is `window`.
            channels: of each sample.

        Raises:
            SourceError: the numbers make no window.
        """
        from_hz, to_hz = rates_hz
        if from_hz <= 0 or to_hz < 0:
            raise SourceError(part, f"has rate_hz {from_hz:g} and to_hz {to_hz:g}; a rate is above 0")
        self.rate_hz = to_hz or from_hz
        """Samples a second of the windows."""
        self._windows = Windows(part, window, hop, channels)
        self._resampler = Resampler(from_hz, to_hz, channels) if self.rate_hz != from_hz else None
        self._ready = np.empty((0, channels), np.float32)

    @property
    def given(self) -> int:
        """How many windows there were."""
        return self._windows.given

    @property
    def start_s(self) -> float:
        """When the last window that was given begins, seconds from the start of the sound."""
        return self._windows.start / self.rate_hz

    @property
    def needed(self) -> int:
        """How many samples are still needed for a whole window; at least 1."""
        missing = self._windows.needed - len(self._ready)
        return max(1, missing if self._resampler is None else self._resampler.needed(missing))

    def add(self, samples: Array) -> None:
        """Take samples (n, channels) float32; no more than `needed` waste no memory."""
        made = samples if self._resampler is None else self._resampler.add(samples)
        self._ready = np.concatenate([self._ready, made]) if len(self._ready) else made

    def pop_window(self) -> Array | None:
        """Return the next whole window, to keep; None where there is none yet."""
        count = min(self._windows.needed, len(self._ready))
        window = self._windows.add(self._ready[:count])
        self._ready = self._ready[count:]
        return window

    def flush(self) -> Array | None:
        """Return a window of what is left when no more samples come, its end silent; None where nothing is. Until None."""
        if self._resampler is not None:
            self._ready = np.concatenate([self._ready, self._resampler.flush()])
            self._resampler = None
        window = self.pop_window()
        return self._windows.flush(pcm.SILENCE) if window is None else window
