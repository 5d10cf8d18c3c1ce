"""What models for microcontrollers hear: TensorFlow Lite Micro's audio front end. The only file that imports pymicro-features.

Where windows follow each other, as a wake word hears them, its noise estimate and the last 20 ms of sound go on from one to
the next. A window that reaches further back is heard by itself, as a model of whole words was trained.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from inferd.errors import ModelError
from inferd.records import Array
from inferd.wire.manifest import SignalSection

RATE_HZ, FRAME, STEP = 16_000, 480, 160  # fixed in the package: 30 ms of sound, 10 ms apart
MENDED_BY = "install the package pymicro-features (pip install pymicro-features)"


def follow_each_other(section: SignalSection) -> bool:
    """Whether windows are heard as one sound: each brings `hop` new samples, and overlaps the one before by 320."""
    return section.window == (section.hop or 0) + FRAME - STEP


class MicroFrontend:
    """Computes (n, 40) float64, one row for every `step` samples, of windows (samples, 1), -1..1, of 480 samples or more."""

    def __init__(self, section: SignalSection) -> None:
        """Start without a memory.

        Raises:
            ModelError: the package is missing, or the section does not fit it.
        """
        hop, step = section.hop or section.window or 0, section.step or STEP
        if section.rate_hz != RATE_HZ or step % STEP or (section.window or 0) < FRAME or hop % STEP:
            fitting = f"rate_hz = {RATE_HZ}, window of {FRAME} or more, hop and step by the {STEP}"
            raise ModelError("signal.features", f"microfrontend takes {fitting}")
        self._hop = hop
        self._every = step // STEP
        self._goes_on = follow_each_other(section)
        self._frontend: Any = _made()  # it ships no types
        self._fresh = True

    def __call__(self, samples: Array) -> Array:
        """Return the features of a window; of one that follows another, only what is new is heard.

        Raises:
            ModelError: the window has several channels.
        """
        if samples.shape[1] != 1:
            raise ModelError("signal.channels", f"is not said for {samples.shape[1]} channels; microfrontend hears one")
        if not self._goes_on:
            self.forget()
        heard = samples[:, 0] if self._fresh else samples[-self._hop :, 0]
        self._fresh = False
        pcm = np.clip(np.rint(heard * 32768), -32768, 32767).astype("<i2")
        steps = (self._frontend.process_samples(pcm[at : at + STEP].tobytes()) for at in range(0, len(pcm), STEP))
        return np.array([step.features for step in steps if step.features][:: self._every], np.float64)

    def forget(self) -> None:
        """Begin anew: the next window follows none."""
        self._frontend.reset()
        self._fresh = True


def _made() -> Any:  # Any: it ships no types
    try:
        return import_module("pymicro_features").MicroFrontend()
    except ImportError as exc:
        raise ModelError("signal.features", f"microfrontend needs a part that is missing; {MENDED_BY}") from exc
