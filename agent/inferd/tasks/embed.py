"""A picture (or any other sample) as a vector, to be compared with others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.records import Array, EngineInfo, Geometry, Result
from inferd.wire.manifest import ModelDescription


class Embed:
    """Reads the first output, of any shape, as one vector of real numbers."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Settle how the vector is read.

        Args:
            description: tells whether it is divided by its length.
            info: tells the output's scale and zero point.

        Raises:
            ModelError: the model has no output.
        """
        if not info.outputs:
            raise ModelError(description.ref.name, "has no output, so there is no vector to read")
        self._spec = info.outputs[0]
        self._normalize = bool(description.manifest.output.normalize)

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:  # noqa: ARG002 - a vector has no place
        """Return the vector; of length 1 where `normalize` says so and it is not zero."""
        vector = dequantize(outputs[0].reshape(-1), self._spec)
        length = float(np.linalg.norm(vector))
        if self._normalize and length > 0:
            vector = vector / np.float32(length)
        return Result(embedding=tuple(vector.tolist()))
