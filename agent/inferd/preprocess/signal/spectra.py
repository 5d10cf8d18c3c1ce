"""Spectra of windows of a signal. Pure functions of float64 arrays, so that workstation and device get the same bits.

Checked against tensorflow 2.21's tf.signal and librosa 0.11 (tests/preprocess/golden/README.md).
"""

from __future__ import annotations

import numpy as np

from inferd.records import Array
from inferd.wire.manifest import LogKind, MelScale, Taper

HTK_BREAK_HZ, HTK_FACTOR = 700.0, 1127.0  # mel = 1127 ln(1 + f / 700)
SLANEY_LINEAR_HZ = 200.0 / 3  # Hz of one mel below 1000 Hz; above, 27 mels are a factor of 6.4
SLANEY_BREAK_HZ, SLANEY_LOG_STEP = 1000.0, np.log(6.4) / 27
BLACKMAN = (0.42, 0.5, 0.08)
HAMMING = (0.54, 0.46)


def taper(kind: Taper, size: int) -> Array:
    """Return a periodic window function (size,) float64."""
    phase = 2 * np.pi * np.arange(size) / size
    if kind == "hann":
        return 0.5 - 0.5 * np.cos(phase)
    if kind == "hamming":
        return HAMMING[0] - HAMMING[1] * np.cos(phase)
    if kind == "blackman":
        return BLACKMAN[0] - BLACKMAN[1] * np.cos(phase) + BLACKMAN[2] * np.cos(2 * phase)
    return np.ones(size)


def frames(samples: Array, size: int, step: int) -> Array:
    """Return all whole frames (n, size) of samples (k,), each `step` after the one before; a view, not to be written."""
    all_of_them: Array = np.lib.stride_tricks.sliding_window_view(samples, size)[::step]
    return all_of_them


def magnitudes(framed: Array, window: Array, fft: int, power: float) -> Array:
    """Return |spectrum| ** power (n, fft // 2 + 1) of frames (n, size), each multiplied with `window` (size,)."""
    found: Array = np.abs(np.fft.rfft(framed * window, fft))
    return found if power == 1 else found**power


def mel_bank(mels: int, fft: int, rate_hz: float, low_hz: float, high_hz: float, scale: MelScale) -> Array:
    """Return (fft // 2 + 1, mels) float64: how much of each frequency goes into each band.

    "htk" has triangles that are straight in mel, and leaves out the frequency 0, as tf.signal does; "slaney" has triangles
    that are straight in Hz and of one area, as librosa does.
    """
    hz = np.linspace(0, rate_hz / 2, fft // 2 + 1)
    to_mel = _htk_mel if scale == "htk" else _slaney_mel
    low, high = map(float, to_mel(np.array([low_hz, high_hz])))
    edges = np.linspace(low, high, mels + 2)
    if scale == "htk":
        bank = _triangles(to_mel(hz), edges)
        bank[0] = 0
        return bank
    edges_hz = _slaney_hz(edges)
    return _triangles(hz, edges_hz) * (2 / (edges_hz[2:] - edges_hz[:-2]))


def logarithm(values: Array, kind: LogKind, offset: float, power: float) -> Array:
    """Return the logarithm of values + offset; "db" is of power, whatever the values are."""
    if kind == "none":
        return values
    if kind == "ln":
        natural: Array = np.log(values + offset)
        return natural
    decibels: Array = 20 / power * np.log10(values + offset)
    return decibels


def cosine_bank(size: int, kept: int) -> Array:
    """Return (size, kept) float64: the orthogonal DCT-II but for its first column, which tf.signal scales as the others."""
    n, k = np.arange(size)[:, None], np.arange(kept)[None, :]
    bank: Array = np.cos(np.pi * k * (2 * n + 1) / (2 * size)) * np.sqrt(2 / size)
    return bank


def _triangles(at: Array, edges: Array) -> Array:
    """Return how high the triangle between edges i and i + 2, with its top of 1 at i + 1, is at each place."""
    low, top, high = edges[:-2], edges[1:-1], edges[2:]
    rising = (at[:, None] - low) / (top - low)
    falling = (high - at[:, None]) / (high - top)
    triangles: Array = np.maximum(0, np.minimum(rising, falling))
    return triangles


def _htk_mel(hz: Array) -> Array:
    mel: Array = HTK_FACTOR * np.log1p(hz / HTK_BREAK_HZ)
    return mel


def _slaney_mel(hz: Array) -> Array:
    linear = hz / SLANEY_LINEAR_HZ
    above = SLANEY_BREAK_HZ / SLANEY_LINEAR_HZ + np.log(np.maximum(hz, 1e-9) / SLANEY_BREAK_HZ) / SLANEY_LOG_STEP
    return np.where(hz < SLANEY_BREAK_HZ, linear, above)


def _slaney_hz(mel: Array) -> Array:
    break_mel = SLANEY_BREAK_HZ / SLANEY_LINEAR_HZ
    above: Array = SLANEY_BREAK_HZ * np.exp(SLANEY_LOG_STEP * (mel - break_mel))
    return np.where(mel < break_mel, mel * SLANEY_LINEAR_HZ, above)
