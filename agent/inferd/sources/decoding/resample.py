"""Sound of one rate brought to another, block by block, with no seam between the blocks. Pure."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from inferd.records import Array

MOST_PHASES = 1000  # denominator of the ratio: exact for all usual rates, else off by less than a thousandth
CROSSINGS = 32  # of zero on each side of the windowed sinc
BETA = 8.0  # Kaiser's window: what would be mirrored is 80 dB down
BLOCK = 4096  # samples that are filtered at a time: each takes all its taps in float64
CUTOFF = 0.46  # of the lower rate; with these, the filter has closed at its half


class Resampler:
    """Brings samples (n, channels) float32 from one rate to another by a polyphase filter. Owned by one source thread.

    Sample k of what comes out belongs to the same moment as sample k * from / to of what went in.
    """

    def __init__(self, from_hz: float, to_hz: float, channels: int) -> None:
        """Make the filter; both rates are above 0."""
        ratio = Fraction(to_hz / from_hz).limit_denominator(MOST_PHASES) or Fraction(1, MOST_PHASES)
        self._up, self._down = ratio.numerator, ratio.denominator
        self._half = math.ceil(CROSSINGS * max(1.0, self._down / self._up))
        self._bank = _bank(self._up, self._down, self._half)
        self._kept = np.zeros((self._half - 1, channels), np.float32)
        self._begins = 1 - self._half  # number of the first sample in `_kept`; silence is thought before the sound
        self._next = 0

    def needed(self, count: int) -> int:
        """Return how many more samples must come so that `count` more go out; at least 1."""
        last = (self._next + count - 1) * self._down // self._up
        return max(1, last + self._half + 1 - self._begins - len(self._kept))

    def add(self, samples: Array) -> Array:
        """Take samples; return those that can be told now, (m, channels) float32."""
        self._kept = np.concatenate([self._kept, samples])
        whole = self._begins + len(self._kept) - self._half
        until = max(self._next, -(-whole * self._up // self._down))
        made = self._filtered(np.arange(self._next, until))
        self._next = until
        done = max(0, until * self._down // self._up - self._half + 1 - self._begins)
        self._kept = self._kept[done:]
        self._begins += done
        return made

    def flush(self) -> Array:
        """Return what is left when no more samples come, (m, channels) float32."""
        return self.add(np.zeros((self._half, self._kept.shape[1]), np.float32))

    def _filtered(self, numbers: Array) -> Array:
        blocks = [self._block(numbers[at : at + BLOCK]) for at in range(0, len(numbers), BLOCK)]
        return np.concatenate(blocks) if blocks else np.empty((0, self._kept.shape[1]), np.float32)

    def _block(self, numbers: Array) -> Array:
        at, phases = np.divmod(numbers * self._down, self._up)
        first = at - self._half + 1 - self._begins
        taps, around = self._bank[phases], first[:, None] + np.arange(2 * self._half)
        out = [np.einsum("kt,kt->k", taps, channel[around]) for channel in self._kept.T]
        return np.stack(out, axis=1).astype(np.float32)


def _bank(up: int, down: int, half: int) -> Array:
    """Return (up, 2 * half) float64: the weights of the samples around each place between two of them."""
    places = np.arange(up)[:, None] / up + half - 1 - np.arange(2 * half)
    cutoff = 2 * CUTOFF * min(1.0, up / down)
    window = np.i0(BETA * np.sqrt(np.maximum(0, 1 - (places / half) ** 2))) / np.i0(BETA)
    bank = np.sinc(cutoff * places) * window
    level: Array = bank / bank.sum(axis=1, keepdims=True)
    return level
