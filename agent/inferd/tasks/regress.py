"""Numbers with names and units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.records import Array, EngineInfo, Geometry, Result, Value
from inferd.tasks.postprocess.labels import Labels
from inferd.tasks.rules.moving_average import Average
from inferd.wire.manifest import ModelDescription

MOST_VALUES = 1000  # more are a vector: --task embed


class Regress:
    """Reads the first output, of any shape, as real numbers: output * scale + offset."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Take names, units, scale and offset.

        Args:
            description: tells them; labels name the values.
            info: tells the output's own scale and zero point.

        Raises:
            ModelError: there are not as many of them as values.
        """
        count = int(np.prod(info.outputs[0].shape)) if info.outputs else 0
        if not 1 <= count <= MOST_VALUES:
            raise ModelError(description.ref.name, f"gives {count:,} values; a regression has 1 to {MOST_VALUES:,}")
        said = description.manifest.output
        for key in ("scale", "offset", "units"):
            given = getattr(said, key)
            if given is not None and len(given) not in (1, count):
                raise ModelError(
                    description.ref.name, f"output.{key} has {len(given)} entries for {count} values; give 1 or {count}"
                )
        self._spec = info.outputs[0]
        self._scale = np.array(said.scale or (1.0,), np.float32)
        self._offset = np.array(said.offset or (0.0,), np.float32)
        self._units = (said.units or ("",)) * (count if len(said.units or "-") == 1 else 1)
        labels = Labels(description)
        self._names = tuple(labels[index] for index in range(count))
        self._mean = Average(said.average)

    def forget(self) -> None:
        """Begin the mean anew."""
        self._mean.forget()

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:  # noqa: ARG002 - a number has no place
        """Return the values in the model's order."""
        numbers = self._mean(dequantize(outputs[0].reshape(-1), self._spec) * self._scale + self._offset)
        return Result(values=tuple(map(Value, self._names, numbers.tolist(), self._units)))
