"""Where the points of a body, a hand or a face are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.picture_input import require_picture
from inferd.records import Array, EngineInfo, Geometry, Result
from inferd.tasks.postprocess.scores import sigmoid
from inferd.wire.manifest import ModelDescription

MOVENET = 3  # values a point: y, x, score, normalised to the model's input
LANDMARK_SIZES = {63: 3, 195: 5, 1404: 3, 1434: 3}  # values in all → a point: hand, body, face, face with irises
FLAT = 3  # values a point without a visibility of its own


class Pose:
    """Reads one subject's points, in the model's order; every point is told, however unsure."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Find the output that holds the points.

        Args:
            description: tells the decoder: "movenet" (1, 1, n, 3) y, x, score; "landmarks": x, y, z and, of a body, visibility
                and presence, in pixels of the model's input.
            info: tells shapes.

        Raises:
            ModelError: no decoder is named, or no output is what it reads.
        """
        decoder = description.manifest.output.decoder
        sizes = [int(np.prod(output.shape)) for output in info.outputs]
        if decoder == "movenet":
            self._at = next((at for at, output in enumerate(info.outputs) if output.shape[-1:] == (MOVENET,)), None)
        elif decoder == "landmarks":
            self._at = next((at for at, size in enumerate(sizes) if size in LANDMARK_SIZES), None)
        else:
            raise ModelError(
                description.ref.name,
                "finds points, but nothing says how they lie; say output.decoder (movenet or landmarks)",
            )
        if self._at is None:
            shapes = ", ".join(str(list(output.shape)) for output in info.outputs)
            raise ModelError(description.ref.name, f"gives {shapes}; the {decoder} decoder reads no such output")
        self._spec = info.outputs[self._at]
        self._movenet = decoder == "movenet"
        self._per_point = MOVENET if self._movenet else LANDMARK_SIZES[sizes[self._at]]
        picture = require_picture(description, info)
        self._height, self._width = picture.height, picture.width
        self._presence = next((at for at, size in enumerate(sizes) if size == 1), None)
        self._presence_spec = info.outputs[self._presence] if self._presence is not None else None

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:
        """Return the points on the source picture; `score` is how sure the model is that there is a subject at all.

        Points may lie outside of the picture; those that are not finite are at 0, 0 with score 0.
        """
        values = dequantize(outputs[self._at or 0].reshape(-1), self._spec).reshape(-1, self._per_point)
        places, scores = self._movenet_points(values) if self._movenet else self._landmarks(values)
        presence = self._present(outputs)
        if values.shape[1] == FLAT and presence is not None and not self._movenet:
            scores = np.full(len(values), presence, np.float32)
        mapped = places * (geometry.scale_y, geometry.scale_x) + (geometry.offset_y, geometry.offset_x)
        points = np.column_stack((mapped, scores))
        points[~np.isfinite(points).all(axis=1)] = 0.0
        return Result(keypoints=tuple((y, x, score) for y, x, score in points.tolist()), score=presence)

    def _movenet_points(self, values: Array) -> tuple[Array, Array]:
        return values[:, :2], values[:, 2]

    def _landmarks(self, values: Array) -> tuple[Array, Array]:
        """Return (n, 2) y, x on the model's input and (n,) scores: a point's visibility, else 1."""
        places = values[:, 1::-1] / (self._height, self._width)
        return places, sigmoid(values[:, 3]) if values.shape[1] > FLAT else np.ones(len(values), np.float32)

    def _present(self, outputs: Sequence[Array]) -> float | None:
        """Return what the first single number says, 0..1: whether there is a subject."""
        if self._presence is None or self._presence_spec is None:
            return None
        score = dequantize(outputs[self._presence].reshape(-1), self._presence_spec)
        return float(score[0] if 0.0 <= score[0] <= 1.0 else sigmoid(score)[0])
