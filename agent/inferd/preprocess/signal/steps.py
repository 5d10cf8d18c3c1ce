"""A window of sound or of a sensor's readings into the one input of a model."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from inferd.array_math import quantize, saturate
from inferd.errors import ModelError, SourceError
from inferd.plugins import Stateful
from inferd.preprocess.denoise import signal_filter
from inferd.preprocess.signal.features import computer
from inferd.preprocess.signal.pca import projection
from inferd.records import Array, Frame, Geometry, TensorSpec, Wanted
from inferd.wire.manifest import PcaSection, SignalSection

SIGNAL_DIMS = 2  # samples and channels
RATE_TOLERANCE = 0.01  # clocks of sound cards are off by less than a thousandth


def is_signal(frame: Frame) -> bool:
    """Whether a frame holds a window of a signal."""
    return isinstance(frame.data, np.ndarray) and frame.data.ndim == SIGNAL_DIMS and frame.data.dtype == np.float32


def wanted_window(section: SignalSection, pca: PcaSection, spec: TensorSpec) -> Wanted:
    """Return how a model would like its signal cut: as the manifest says, else its input's first axis that is longer than 1."""
    as_it_is = section.features in (None, ("samples",)) and section.select is None and pca.components is None
    window = section.window or (next((size for size in spec.shape if size > 1), 0) if as_it_is else 0)
    return Wanted(rate_hz=section.rate_hz or 0.0, window=window, hop=section.hop or 0)


class SignalPreprocess:
    """Writes windows (samples, channels) float32 into one input tensor. Owned by one loop thread."""

    def __init__(self, section: SignalSection, pca: PcaSection, spec: TensorSpec) -> None:
        """Make all that does not depend on the window.

        Args:
            section: what is computed; without it, samples go in as they are.
            pca: what becomes of it; nothing where it has no components.
            spec: the input tensor as the runtime tells it.

        Raises:
            ModelError: what is said contradicts itself or lacks something.
        """
        self._section = section
        self._spec = spec
        self._size = math.prod(spec.shape)
        self._denoise = signal_filter(section)
        self._compute = computer(section)
        self._project = projection(pca)
        self._chosen = None if section.select is None else np.array(section.select)
        self._channels = None if section.channels in (None, "mix") else np.array(section.channels)
        self._mean, self._std = _centre(section)
        self._feature_mean = section.feature_mean or 0.0
        self._feature_std = section.feature_std or 1.0

    def __call__(self, frame: Frame, inputs: Sequence[Array]) -> Geometry:
        """Write a window into the input. Missing values are put in on the line between their neighbours.

        Raises:
            SourceError: the window is too short or long, of another rate, or lacks a channel.
            ModelError: what is computed does not fit the tensor or the PCA.
        """
        values = self.features(frame)
        if values.size != self._size:
            raise SourceError(frame.origin or "window", self._misfit(frame, values))
        values = values.reshape(self._spec.shape)
        inputs[0][...] = quantize(values, self._spec) if self._spec.quantized else saturate(values, self._spec.dtype)
        return Geometry()

    def forget(self) -> None:
        """Begin anew, where something is remembered."""
        compute: object = self._compute
        if isinstance(compute, Stateful):
            compute.forget()

    def features(self, frame: Frame) -> Array:
        """Return what is computed of a window, real numbers float64, before they become the tensor's.

        Raises:
            SourceError, ModelError: see `__call__`.
        """
        samples = whole(self._window(frame).astype(np.float64))
        if self._denoise is not None:
            samples = self._denoise(samples)
        values = (self._compute(self._scaled(samples)) - self._feature_mean) / self._feature_std
        if self._chosen is not None:
            values = self._select(values.ravel())
        return values if self._project is None else self._project(values.ravel())

    def _window(self, frame: Frame) -> Array:
        samples = np.asarray(frame.data)
        part, section = frame.origin or "window", self._section
        if section.rate_hz and frame.rate_hz and abs(frame.rate_hz / section.rate_hz - 1) > RATE_TOLERANCE:
            remedy = f"take it with rate_hz = {section.rate_hz:g}, or a sound with to_hz"
            raise SourceError(part, f"has {frame.rate_hz:g} samples a second, the model {section.rate_hz:g}; {remedy}")
        if section.window and len(samples) != section.window:
            remedy = "leave window in the source's options at 0"
            raise SourceError(part, f"has {len(samples)} samples, but the model takes {section.window}; {remedy}")
        if section.channels == "mix":
            mixed: Array = samples.mean(axis=1, keepdims=True)
            return mixed
        if self._channels is None:
            return samples
        if self._channels.max() >= samples.shape[1]:
            raise SourceError(
                part, f"has {samples.shape[1]} channels, but the model takes {list(section.channels or ())}"
            )
        chosen: Array = samples[:, self._channels]
        return chosen

    def _scaled(self, samples: Array) -> Array:
        if self._section.scale == "peak":
            peak = samples.max()
            samples = samples / peak if peak > 0 else samples
        elif self._section.scale == "standard":
            deviation = samples.std(axis=0)
            samples = (samples - samples.mean(axis=0)) / np.where(deviation > 0, deviation, 1.0)
        if self._mean is None:
            return samples
        if len(self._mean) not in (1, samples.shape[1]) or len(self._std) not in (1, samples.shape[1]):
            raise ModelError("signal.mean", f"and std must have 1 or {samples.shape[1]} values, one per channel")
        centred: Array = (samples - self._mean) / self._std
        return centred

    def _select(self, values: Array) -> Array:
        assert self._chosen is not None  # noqa: S101 - asked for only then
        if self._chosen.max() >= values.size:
            raise ModelError("signal.select", f"names value {self._chosen.max()}, but only {values.size} are computed")
        chosen: Array = values[self._chosen]
        return chosen

    def _misfit(self, frame: Frame, values: Array) -> str:
        shape = "x".join(str(size) for size in np.asarray(frame.data).shape)
        made = f"a window of {shape} makes {values.size} values, but the model takes {list(self._spec.shape)}"
        return f'{made}; say window, channels (or "mix") and features under [signal] of its manifest'


def whole(samples: Array) -> Array:
    """Return the window (samples, channels) with missing values on the line between their neighbours; 0 where there are none."""
    missing = ~np.isfinite(samples)
    if not missing.any():
        return samples
    filled, at = samples.copy(), np.arange(len(samples))
    for channel in range(samples.shape[1]):
        gone = missing[:, channel]
        there = ~gone
        filled[gone, channel] = np.interp(at[gone], at[there], samples[there, channel]) if there.any() else 0.0
    return filled


def _centre(section: SignalSection) -> tuple[Array | None, Array]:
    """Return mean and deviation to take out; None where nothing is said."""
    for name in ("channels", "select"):
        numbers = getattr(section, name)
        if numbers not in (None, "mix") and (not numbers or min(numbers) < 0):
            raise ModelError(f"signal.{name}", "must be numbers from 0, at least one")
    if (section.mean is None) != (section.std is None) or not all(section.std or (1.0,)):
        raise ModelError("signal.mean", "and std belong together, and std must not be 0")
    if section.mean is None:
        return None, np.ones(1)
    return np.array(section.mean), np.array(section.std)
