"""What is computed of a window, as the manifest's [signal] says. Everything that does not depend on the window is made once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from inferd.errors import ModelError
from inferd.preprocess.signal import spectra
from inferd.preprocess.signal.microfrontend import MicroFrontend
from inferd.preprocess.signal.vibration import STATISTICS, band_powers, strongest
from inferd.records import Array
from inferd.wire.manifest import Feature, SignalSection, Statistic

MELS, LOW_HZ, COEFFICIENTS, LOG_OFFSET, PEAKS = 40, 20.0, 13, 1e-6, 3
USUAL_STATISTICS: tuple[Statistic, ...] = ("rms", "crest", "skewness", "kurtosis")

Compute = Callable[[Array], Array]
"""Takes a window (samples, channels) float64, returns its features in their own shape, float64."""


def computer(section: SignalSection) -> Compute:
    """Return what computes the features of a window.

    One kind keeps its shape: samples (n, channels); spectrum, mel and mfcc (frames, values) of one channel, or (channels,
    frames, values) of several. Several kinds are flattened and laid one behind the other.

    Raises:
        ModelError: what a feature needs is not said, or contradicts itself.
    """
    kinds: tuple[Feature, ...] = section.features or ("samples",)
    if "microfrontend" in kinds and len(kinds) > 1:
        raise ModelError("signal.features", "has others beside microfrontend, which stands alone")
    computes = [MAKERS[kind](section) for kind in kinds]
    if len(computes) == 1:
        return computes[0]
    return lambda samples: np.concatenate([compute(samples).ravel() for compute in computes])


def _samples(_: SignalSection) -> Compute:
    return lambda samples: samples


def _spectrum(section: SignalSection) -> Compute:
    size, step, fft = _sizes(section)
    window, power = spectra.taper(section.taper or "hann", size), section.power or 1.0
    kind, offset = section.log or "none", _offset(section)

    def of_channel(samples: Array) -> Array:
        found = spectra.magnitudes(spectra.frames(samples, size, step), window, fft, power)
        return spectra.logarithm(found, kind, offset, power)

    return _each_channel(of_channel, size)


def _mel(section: SignalSection) -> Compute:
    size, step, fft = _sizes(section)
    window, power = spectra.taper(section.taper or "hann", size), section.power or 1.0
    bank, kind, offset = _bank(section, fft), section.log or "ln", _offset(section)

    def of_channel(samples: Array) -> Array:
        found = spectra.magnitudes(spectra.frames(samples, size, step), window, fft, power) @ bank
        return spectra.logarithm(found, kind, offset, power)

    return _each_channel(of_channel, size)


def _mfcc(section: SignalSection) -> Compute:
    log_mel, mels = _mel(section), section.mels or MELS
    kept = section.coefficients or COEFFICIENTS
    if kept > mels:
        raise ModelError("signal.coefficients", f"is {kept}, but there are only {mels} mels")
    cosines = spectra.cosine_bank(mels, kept)
    return lambda samples: log_mel(samples) @ cosines


def _bands(section: SignalSection) -> Compute:
    rate_hz, edges = _rate(section), np.array(section.bands_hz or ())
    if len(edges) < 2 or not (np.diff(edges) > 0).all():  # noqa: PLR2004 - a band has two edges
        raise ModelError("signal.bands_hz", "must be two or more rising numbers, the edges of the bands")
    return lambda samples: band_powers(samples, rate_hz, edges)


def _statistics(section: SignalSection) -> Compute:
    chosen = [STATISTICS[name] for name in section.statistics or USUAL_STATISTICS]
    return lambda samples: np.stack([compute(samples) for compute in chosen], axis=1)


def _peaks(section: SignalSection) -> Compute:
    rate_hz, count, kind = _rate(section), section.peaks or PEAKS, section.taper or "hann"
    return lambda samples: strongest(samples, rate_hz, spectra.taper(kind, len(samples)), count)


MAKERS: dict[Feature, Callable[[SignalSection], Compute]] = {
    "samples": _samples,
    "spectrum": _spectrum,
    "mel": _mel,
    "mfcc": _mfcc,
    "microfrontend": MicroFrontend,
    "bands": _bands,
    "statistics": _statistics,
    "peaks": _peaks,
}


def _each_channel(compute: Compute, size: int) -> Compute:
    def of_window(samples: Array) -> Array:
        if len(samples) < size:
            raise ModelError("signal.frame", f"is {size}, but a window has only {len(samples)} samples")
        found = [compute(channel) for channel in samples.T]
        return found[0] if len(found) == 1 else np.stack(found)

    return of_window


def _sizes(section: SignalSection) -> tuple[int, int, int]:
    """Return samples of a frame, samples from frame to frame, and points of the transform."""
    if section.frame is None:
        raise ModelError("signal.frame", "is not said; how many samples has a frame of the spectrum?")
    fft = section.fft or 1 << (section.frame - 1).bit_length()
    if fft < section.frame:
        raise ModelError("signal.fft", f"is {fft}, less than the {section.frame} samples of a frame")
    return section.frame, section.step or max(1, section.frame // 2), fft


def _bank(section: SignalSection, fft: int) -> Array:
    rate_hz = _rate(section)
    low_hz = LOW_HZ if section.low_hz is None else section.low_hz
    high_hz = rate_hz / 2 if section.high_hz is None else section.high_hz
    if not low_hz < high_hz <= rate_hz / 2:
        raise ModelError(
            "signal.high_hz", f"is {high_hz:g}; it must lie above low_hz ({low_hz:g}), up to half the rate"
        )
    return spectra.mel_bank(section.mels or MELS, fft, rate_hz, low_hz, high_hz, section.mel_scale or "htk")


def _offset(section: SignalSection) -> float:
    return LOG_OFFSET if section.log_offset is None else section.log_offset


def _rate(section: SignalSection) -> float:
    if section.rate_hz is None:
        raise ModelError("signal.rate_hz", "is not said; how many samples a second was the model trained on?")
    return section.rate_hz
