"""Every output as it came, for models whose meaning inferd does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from inferd.records import Array, EngineInfo, Geometry, OutputTensor, Result
from inferd.wire.manifest import ModelDescription

MOST_VALUES = 1_000_000  # of one tensor: a 513 x 513 mask fits, and tolist stays under 50 ms


class Raw:
    """Reads nothing into the outputs: names, shapes, dtypes and values in the tensor's own dtype, not dequantised."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:  # noqa: ARG002 - every task is made so
        """Take the names.

        Args:
            description: not used.
            info: tells the outputs' names.
        """
        self._names = tuple(output.name for output in info.outputs)

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:  # noqa: ARG002 - nothing has a place
        """Return all outputs in the engine's order."""
        return Result(outputs=tuple(map(_read, self._names, outputs)))


def _read(name: str, values: Array) -> OutputTensor:
    return OutputTensor(name, tuple(values.shape), values.dtype.name, plain(values))


def plain(values: Array) -> Any:  # Any: nested lists, as deep as the array has dimensions
    """Return the values as nested lists that JSON can hold; None for more than a million of them.

    NaN and infinities become None (JSON has no word for them), complex numbers pairs of real and imaginary part, bytes
    text.
    """
    if values.size > MOST_VALUES:
        return None
    if values.dtype.kind == "c":
        return plain(np.stack((values.real, values.imag), axis=-1))
    if values.dtype.kind in "SOU":
        return _texts(values.tolist())
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        numbers = values.astype(object)
        numbers[~np.isfinite(values)] = None
        return numbers.tolist()
    return values.tolist()


def _texts(values: Any) -> Any:  # Any: nested lists of bytes or text in, of text out
    if isinstance(values, list):
        return [_texts(value) for value in values]
    return values.decode("utf-8", "replace") if isinstance(values, bytes) else str(values)
