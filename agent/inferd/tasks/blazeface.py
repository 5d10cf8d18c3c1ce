"""BlazeFace: faces with six points each, from 896 anchors.

Bazarevsky and others, "BlazeFace: Sub-millisecond Neural Face Detection on Mobile GPUs", 2019 (arXiv:1907.05047),
section 3: two anchors on each cell of a 16 x 16 grid, six on each of an 8 x 8 grid, all of the same size, so that only
their centres matter; and boxes that overlap are averaged by score instead of being thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.picture_input import require_picture
from inferd.records import Array, Box, EngineInfo, Geometry, Result
from inferd.tasks.postprocess.boxes import to_source
from inferd.tasks.postprocess.labels import Labels
from inferd.tasks.postprocess.nms import groups
from inferd.tasks.postprocess.scores import sigmoid
from inferd.wire.manifest import ModelDescription

GRIDS = ((16, 2), (8, 6))  # cells a side, anchors a cell
ANCHORS = sum(cells * cells * anchors for cells, anchors in GRIDS)
KEYPOINTS = 6  # eyes, nose tip, mouth, ear tragions
VALUES = (
    4 + 2 * KEYPOINTS
)  # per anchor: x, y, width, height, then x and y of each point; pixels, from the anchor's centre
DEFAULT_THRESHOLD = 0.5
DEFAULT_IOU = 0.3
DEFAULT_TOP_K = 100
FACE = 0


class BlazeFace:
    """Reads regressors (1, 896, 16) and classificators (1, 896, 1), float or quantised, in either order."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Lay out the anchors.

        Args:
            description: tells threshold, top_k, overlap and a label, where "face" is not wanted.
            info: tells the input's size and the outputs' order.

        Raises:
            ModelError: the tensors are not those of BlazeFace with 896 anchors.
        """
        sizes = [int(np.prod(output.shape)) for output in info.outputs]
        if sorted(sizes) != [ANCHORS, ANCHORS * VALUES]:
            shapes = ", ".join(str(list(output.shape)) for output in info.outputs)
            raise ModelError(description.ref.name, f"gives {shapes}; the blazeface decoder reads {ANCHORS} anchors")
        said = description.manifest.output
        self._scores_at = sizes.index(ANCHORS)
        self._side_px = require_picture(description, info).width
        self._specs = info.outputs
        self._sigmoid = said.activation != "none"
        self._centres = anchor_centres()
        threshold = DEFAULT_THRESHOLD if said.threshold is None else said.threshold
        self._threshold = threshold
        self._raw_threshold = _logit(threshold) if self._sigmoid else threshold
        self._iou = DEFAULT_IOU if said.iou_threshold is None else said.iou_threshold
        self._top_k = said.top_k or DEFAULT_TOP_K
        self._label = Labels(description)[FACE] if description.labels else "face"

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:
        """Return the faces with a score of at least `threshold`, best first, and their points in the same order.

        `keypoints` holds six points for each box: right eye, left eye, nose tip, mouth, right ear, left ear.
        """
        raw = dequantize(outputs[self._scores_at].reshape(-1), self._specs[self._scores_at])
        chosen = np.flatnonzero(raw >= self._raw_threshold)  # NaN is not; 0 to 40 of 896 on ordinary pictures
        places_at = 1 - self._scores_at
        values = dequantize(outputs[places_at].reshape(ANCHORS, VALUES)[chosen], self._specs[places_at])
        scores = sigmoid(raw[chosen]) if self._sigmoid else raw[chosen]
        finite = np.isfinite(values).all(axis=1)
        return self._merge(self._points(values[finite], chosen[finite]), scores[finite], geometry)

    def _points(self, values: Array, anchors: Array) -> Array:
        """Return (n, 8, 2) y, x on the model's input, 0..1: two corners of the box, then the six points."""
        pairs = values.reshape(-1, VALUES // 2, 2)[:, :, ::-1] / self._side_px
        points = pairs + self._centres[anchors][:, None, :]
        centre, half = points[:, 0], pairs[:, 1] / 2
        return np.concatenate((np.stack((centre - half, centre + half), axis=1), points[:, 2:]), axis=1)

    def _merge(self, points: Array, scores: Array, geometry: Geometry) -> Result:
        """Average each group of overlapping faces, weighted by score; its best score stands for it."""
        found = groups(points[:, :2].reshape(-1, 4), scores, self._iou, self._top_k)
        if not found:
            return Result(boxes=(), keypoints=())
        merged = np.stack([_average(points[group], scores[group]) for group in found])
        boxes, inside = to_source(merged[:, :2].reshape(-1, 4), geometry)
        kept = np.flatnonzero(inside).tolist()
        best = [float(scores[group[0]]) for group in found]
        return Result(
            boxes=tuple(Box(FACE, self._label, best[i], tuple(boxes[i].tolist())) for i in kept),
            keypoints=tuple((*point, best[i]) for i in kept for point in _points_to_source(merged[i, 2:], geometry)),
        )


def anchor_centres() -> Array:
    """Return the (896, 2) float32 centres y, x of all anchors, 0..1, row by row, the anchors of a cell together."""
    grids = []
    for cells, anchors in GRIDS:
        middles = (np.arange(cells, dtype=np.float32) + 0.5) / cells
        y, x = np.meshgrid(middles, middles, indexing="ij")
        grids.append(np.repeat(np.stack((y, x), axis=-1).reshape(-1, 2), anchors, axis=0))
    return np.concatenate(grids)


def _average(points: Array, weights: Array) -> Array:
    """Return the (8, 2) weighted average of (n, 8, 2) points."""
    average: Array = (weights @ points.reshape(len(weights), -1) / weights.sum()).reshape(-1, 2)
    return average


def _points_to_source(points: Array, geometry: Geometry) -> list[tuple[float, float]]:
    mapped = points * (geometry.scale_y, geometry.scale_x) + (geometry.offset_y, geometry.offset_x)
    return [(y, x) for y, x in mapped.tolist()]


def _logit(score: float) -> float:
    """Return the raw value whose sigmoid is `score`."""
    if score <= 0:
        return -np.inf
    return float(np.log(score / (1 - score))) if score < 1 else np.inf
