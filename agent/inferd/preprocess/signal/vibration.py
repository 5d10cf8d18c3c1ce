"""What a window of a vibration or a motion says in a few numbers. Pure functions of (samples, channels) float64."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from inferd.records import Array
from inferd.wire.manifest import Statistic

STILL = 1e-12  # a deviation below it is none: shape figures of a flat line are 0, not noise


def moment(samples: Array, order: int) -> Array:
    """Return the standardised central moment (channels,): 3 is skewness, 4 kurtosis (3.0 for a normal distribution)."""
    centred = samples - samples.mean(axis=0)
    deviation = samples.std(axis=0)
    moments: Array = (centred**order).mean(axis=0)
    return np.where(deviation > STILL, moments / np.maximum(deviation, STILL) ** order, 0.0)


def rms(samples: Array) -> Array:
    """Return the root of the mean square (channels,)."""
    root: Array = np.sqrt((samples**2).mean(axis=0))
    return root


def crest(samples: Array) -> Array:
    """Return the largest magnitude over the RMS (channels,); 0 for silence."""
    level = rms(samples)
    return np.where(level > STILL, np.abs(samples).max(axis=0) / np.maximum(level, STILL), 0.0)


def crossings(samples: Array) -> Array:
    """Return which share of the steps between samples cross the mean (channels,), 0..1."""
    above = samples > samples.mean(axis=0)
    return (above[1:] != above[:-1]).mean(axis=0) if len(samples) > 1 else np.zeros(samples.shape[1])


STATISTICS: Mapping[Statistic, Callable[[Array], Array]] = {
    "mean": lambda samples: samples.mean(axis=0),
    "std": lambda samples: samples.std(axis=0),
    "rms": rms,
    "min": lambda samples: samples.min(axis=0),
    "max": lambda samples: samples.max(axis=0),
    "span": lambda samples: np.ptp(samples, axis=0),
    "crest": crest,
    "skewness": lambda samples: moment(samples, 3),
    "kurtosis": lambda samples: moment(samples, 4),
    "crossings": crossings,
}


def band_powers(samples: Array, rate_hz: float, edges_hz: Array) -> Array:
    """Return the mean power (channels, bands) of what lies between each two edges; all bands together give the mean square.

    The lower edge belongs to a band, the upper one does not, but for the last.
    """
    power = np.abs(np.fft.rfft(samples, axis=0)) ** 2 / len(samples) ** 2
    power[1 : (len(samples) + 1) // 2] *= 2  # the other half of the spectrum is its mirror
    hz = np.fft.rfftfreq(len(samples), 1 / rate_hz)
    band = np.searchsorted(edges_hz, hz, side="right") - 1
    band[hz == edges_hz[-1]] = len(edges_hz) - 2
    return np.stack([power[band == index].sum(axis=0) for index in range(len(edges_hz) - 1)], axis=1)


def strongest(samples: Array, rate_hz: float, window: Array, count: int) -> Array:
    """Return (channels, count, 2): frequency and amplitude of the strongest peaks, strongest first; zeros where there are fewer.

    A peak is higher than both its neighbours; its frequency is refined by the parabola through the three (in logarithm).
    """
    found = np.zeros((samples.shape[1], count, 2))
    magnitude = np.abs(np.fft.rfft((samples - samples.mean(axis=0)) * window[:, None], axis=0)) * 2 / window.sum()
    for channel, heights in enumerate(magnitude.T):
        inner = heights[1:-1]
        tops = 1 + np.flatnonzero((inner > heights[:-2]) & (inner >= heights[2:]) & (inner > STILL))
        best = tops[np.argsort(-heights[tops], kind="stable")][:count]
        for place, top in enumerate(best):
            shift = _vertex(np.log(np.maximum(heights[top - 1 : top + 2], STILL)))
            found[channel, place] = (top + shift) * rate_hz / len(samples), heights[top]
    return found


def _vertex(heights: Array) -> float:
    """Return where, from the middle of three points, the parabola through them is highest: -0.5..0.5."""
    bend = heights[0] - 2 * heights[1] + heights[2]
    return 0.0 if bend == 0 else float(np.clip(0.5 * (heights[0] - heights[2]) / bend, -0.5, 0.5))
