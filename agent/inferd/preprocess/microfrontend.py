"""What streaming wake words hear: the audio front end of TensorFlow Lite Micro. The only file that imports pymicro-features.

Its noise estimate and the last 20 ms of sound go on from window to window, as on the microcontrollers it was made for.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from inferd.errors import ModelError
from inferd.records import Array
from inferd.wire.manifest import SignalSection

RATE_HZ, FRAME, STEP = 16_000, 480, 160  # fixed in the package: 30 ms of sound, 10 ms apart
MENDED_BY = "install the package pymicro-features (it comes with inferd[wakeword])"


class MicroFrontend:
    """Computes (n, 40) float64 of windows (480 + (n - 1) * 160, 1), -1..1, that follow each other without a gap."""

    def __init__(self, section: SignalSection) -> None:
        """Start without a memory.

        Raises:
            ModelError: the package is missing, or the section does not fit it.
        """
        window, hop = section.window or 0, section.hop or section.window or 0
        if section.rate_hz != RATE_HZ or hop < STEP or hop % STEP or window != hop + FRAME - STEP:
            fitting = f"rate_hz = {RATE_HZ}, hop = {STEP} for each of its features, window = hop + {FRAME - STEP}"
            raise ModelError("signal.features", f"microfrontend takes {fitting}")
        self._hop = hop
        self._frontend: Any = _made()  # it ships no types
        self._fresh = True

    def __call__(self, samples: Array) -> Array:
        """Return the features of a window; of one that follows another, only what is new is heard.

        Raises:
            ModelError: the window has several channels.
        """
        if samples.shape[1] != 1:
            raise ModelError("signal.channels", f"is not said for {samples.shape[1]} channels; microfrontend hears one")
        heard = samples[:, 0] if self._fresh else samples[-self._hop :, 0]
        self._fresh = False
        pcm = np.clip(np.rint(heard * 32768), -32768, 32767).astype("<i2")
        steps = (self._frontend.process_samples(pcm[at : at + STEP].tobytes()) for at in range(0, len(pcm), STEP))
        return np.array([step.features for step in steps if step.features], np.float64)

    def forget(self) -> None:
        """Begin anew: the next window follows none."""
        self._frontend.reset()
        self._fresh = True


def _made() -> Any:  # Any: it ships no types
    try:
        return import_module("pymicro_features").MicroFrontend()
    except ImportError as exc:
        raise ModelError("signal.features", f"microfrontend needs a part that is missing; {MENDED_BY}") from exc
