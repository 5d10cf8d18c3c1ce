"""Takes noise out of pictures and windows. Pure; a picture's filter writes where it is told."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from inferd.errors import ModelError
from inferd.preprocess.signal.spectra import frames, taper
from inferd.records import Array
from inferd.wire.manifest import InputSection, SignalSection

PICTURE_PX = {"median": 3, "gaussian": 3, "bilateral": 5}
BILATERAL_COLOR = (
    30.0  # pixel values that differ by less are smoothed together: the noise of a dim camera, not its edges
)
SIGNAL_SIZE = 5
GATE_DB = 12.0
GATE_FRAME = 512  # 32 ms at 16 kHz; shorter windows take a shorter frame
GATE_QUIET = 0.2  # the share of frames that are taken for quiet
GATE_LEFT = 0.1  # -20 dB stay of what is gated: digital silence would sound, and look, like a fault
EDGE_SHARE = 0.1  # of a band's edge frequency, over which it fades: a sharp edge rings


def picture_filter(section: InputSection) -> Callable[[Array, Array], object] | None:
    """Return what takes noise from a picture (h, w, c) uint8 into another; None where nothing is to be done.

    Raises:
        ModelError: the size is no odd number.
    """
    kind = section.denoise or "none"
    if kind == "none":
        return None
    size = section.denoise_px or PICTURE_PX[kind]
    if not size % 2:
        raise ModelError("input.denoise_px", f"is {size}; it must be odd, for a pixel in the middle")
    if kind == "median":
        return lambda picture, out: cv2.medianBlur(np.ascontiguousarray(picture), size, dst=out)
    if kind == "gaussian":
        return lambda picture, out: cv2.GaussianBlur(picture, (size, size), 0, dst=out)
    return _bilateral(size)


def _bilateral(size: int) -> Callable[[Array, Array], object]:
    def smooth(picture: Array, out: Array) -> None:
        colors = picture[:, :, 0] if picture.shape[2] == 1 else picture[:, :, :3]  # OpenCV knows one or three channels
        smoothed = cv2.bilateralFilter(np.ascontiguousarray(colors), size, BILATERAL_COLOR, size / 2)
        out[:, :, : smoothed.shape[2] if smoothed.ndim > 2 else 1] = smoothed.reshape(*out.shape[:2], -1)  # noqa: PLR2004 - a grey picture has two axes

    return smooth


def signal_filter(section: SignalSection) -> Callable[[Array], Array] | None:
    """Return what takes noise out of a window (samples, channels) float64; None where nothing is to be done.

    Raises:
        ModelError: what the filter needs is not said, or cannot be.
    """
    kind = section.denoise or "none"
    if kind == "none":
        return None
    if kind in ("median", "gaussian"):
        size = section.denoise_size or SIGNAL_SIZE
        if not size % 2:
            raise ModelError("signal.denoise_size", f"is {size}; it must be odd, for a sample in the middle")
        return lambda samples: median(samples, size) if kind == "median" else gaussian(samples, size)
    if kind == "band_pass":
        rate_hz, band_hz = section.rate_hz, section.band_hz
        if rate_hz is None or band_hz is None or not 0 <= band_hz[0] < band_hz[1]:
            raise ModelError("signal.denoise", "is band_pass, which needs rate_hz and a rising band_hz under [signal]")
        return lambda samples: band_pass(samples, rate_hz, band_hz)
    gate_db = GATE_DB if section.gate_db is None else section.gate_db
    return lambda samples: spectral_gate(samples, gate_db)


def median(samples: Array, size: int) -> Array:
    """Return each sample as the median of `size` around it; the ends are continued."""
    middle: Array = np.median(
        np.lib.stride_tricks.sliding_window_view(_continued(samples, size), size, axis=0), axis=-1
    )
    return middle


def gaussian(samples: Array, size: int) -> Array:
    """Return each sample as the weighted mean of `size` around it, which reach three deviations; the ends are continued."""
    half = size // 2
    weights = np.exp(-0.5 * (np.arange(-half, half + 1) / (half / 3)) ** 2)
    smooth: Array = np.lib.stride_tricks.sliding_window_view(_continued(samples, size), size, axis=0) @ (
        weights / weights.sum()
    )
    return smooth


def band_pass(samples: Array, rate_hz: float, band_hz: tuple[float, float]) -> Array:
    """Return what of each channel lies in a band, without shifting it in time; edges fade over a tenth of themselves.

    The window is mirrored at its ends first, so that its end does not ring into its start.
    """
    count = len(samples)
    mirrored = np.concatenate([samples, samples[::-1]])
    hz = np.fft.rfftfreq(len(mirrored), 1 / rate_hz)[:, None]
    low, high = band_hz
    rising = _fade(hz, low * (1 - EDGE_SHARE), low) if low > 0 else 1.0
    falling = 1 - _fade(hz, high, high * (1 + EDGE_SHARE))
    filtered: Array = np.fft.irfft(np.fft.rfft(mirrored, axis=0) * rising * falling, len(mirrored), axis=0)
    return filtered[:count]


def spectral_gate(samples: Array, gate_db: float) -> Array:
    """Return the window with each frequency turned down where it is not `gate_db` above its own quiet.

    Quiet is what a frequency has in the quietest fifth of the window's frames; so what never changes is taken for noise.
    """
    return np.stack([_gated(channel, gate_db) for channel in samples.T], axis=1)


def _gated(samples: Array, gate_db: float) -> Array:
    size = min(GATE_FRAME, 1 << max(2, (len(samples) // 8).bit_length() - 1))
    step = size // 4
    window = taper("hann", size)
    padded = np.pad(samples, (size, size + -len(samples) % step))
    spectrum = np.fft.rfft(frames(padded, size, step) * window)
    loudness = np.abs(spectrum)
    heard = loudness[3:-3] if len(loudness) > 8 else loudness  # noqa: PLR2004 - the frames of the padding know nothing of quiet
    quiet = np.quantile(heard, GATE_QUIET, axis=0)
    gain = np.where(loudness > quiet * 10 ** (gate_db / 20), 1.0, GATE_LEFT)
    return _overlapped(np.fft.irfft(spectrum * gain, size) * window, step, len(padded))[size : size + len(samples)]


def _overlapped(framed: Array, step: int, count: int) -> Array:
    """Add frames up where they lie. A Hann window squared, every quarter, adds up to 1.5."""
    whole = np.zeros(count)
    for index, frame in enumerate(framed):
        whole[index * step : index * step + len(frame)] += frame
    return whole / 1.5


def _fade(hz: Array, low: float, high: float) -> Array:
    """Return 0 below `low`, 1 above `high`, and a half cosine between."""
    return 0.5 - 0.5 * np.cos(np.pi * np.clip((hz - low) / (high - low), 0, 1))


def _continued(samples: Array, size: int) -> Array:
    return np.pad(samples, ((size // 2, size // 2), (0, 0)), mode="edge")
