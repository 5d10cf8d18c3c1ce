"""YOLO heads: one row of numbers for each place and size that an object may have.

"yolov8" (also 9 and 11; Ultralytics exports): (1, 4 + classes, n): centre x, centre y, width, height, then a score per class.
"yolov5" (also 7, X): (1, n, 5 + classes): the same four, how sure it is of any object, then a score per class; both multiply.
The axes are told apart by the layout each export has; a file that has them the other way round is read as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.records import Array, Box, EngineInfo, Geometry, Result
from inferd.tasks.postprocess.boxes import to_source
from inferd.tasks.postprocess.labels import Labels
from inferd.tasks.postprocess.nms import groups
from inferd.tasks.postprocess.scores import activate
from inferd.wire.manifest import ModelDescription

DEFAULT_THRESHOLD = 0.25
DEFAULT_IOU = 0.45
DEFAULT_TOP_K = 100
MOST_CANDIDATES = 1000  # the best so many go into suppression, whose cost grows with their square
PLACE = 4


class Yolo:
    """Reads one output, float or quantised."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Settle which axis is which.

        Args:
            description: tells decoder, labels, threshold, overlap, top_k, activation of scores, and whether places are shares of
                the input (the default) or its pixels.
            info: tells shapes.

        Raises:
            ModelError: the output is no such head.
        """
        said = description.manifest.output
        self._objectness = said.decoder == "yolov5"
        shape = info.outputs[0].shape if len(info.outputs) == 1 else ()
        self._least = PLACE + self._objectness + 1
        if len(shape) != len("1rn") or shape[0] != 1 or min(shape[1:]) < 1:
            raise ModelError(
                description.ref.name, f"gives {_shapes(info)}; the {said.decoder} decoder reads (1, rows, columns)"
            )
        if len(info.inputs[0].shape) != len("nhwc"):
            raise ModelError(description.ref.name, "takes no picture, so there is nothing for boxes to lie on")
        self._rows_first = self._by_rows(shape[1:], len(description.labels))
        if (shape[2] if self._rows_first else shape[1]) < self._least:
            raise ModelError(description.ref.name, f"gives {_shapes(info)}, too few numbers a box for {said.decoder}")
        self._spec = info.outputs[0]
        sides = info.inputs[0].shape[1:3]
        height, width = sides if said.box_unit == "pixel" else (1, 1)
        self._unit = np.array((height, width), np.float32)
        self._activation = said.activation or "none"
        self._threshold = DEFAULT_THRESHOLD if said.threshold is None else said.threshold
        self._iou = DEFAULT_IOU if said.iou_threshold is None else said.iou_threshold
        self._top_k = said.top_k or DEFAULT_TOP_K
        self._labels = Labels(description)

    def _by_rows(self, shape: tuple[int, ...], classes: int) -> bool:
        """Whether the axis of places comes first: what fits the labels decides, else how the decoder's exports have it."""
        wanted = PLACE + self._objectness + classes
        if classes and (shape[0] == wanted) != (shape[1] == wanted):
            return shape[1] == wanted
        return self._objectness

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:
        """Return the best `top_k` boxes with a score of at least `threshold`, best first; one class never hides another."""
        rows = outputs[0][0] if self._rows_first else outputs[0][0].T
        rows = dequantize(rows, self._spec)
        scores = self._scores(rows)
        classes = scores.argmax(axis=1)
        best = scores[np.arange(len(scores)), classes]
        chosen = np.flatnonzero(best >= self._threshold)  # NaN is not
        chosen = chosen[np.argsort(-best[chosen], kind="stable")][:MOST_CANDIDATES]
        boxes = self._corners(rows[chosen, :PLACE])
        finite = np.isfinite(boxes).all(axis=1)
        return Result(boxes=self._suppress(boxes[finite], classes[chosen][finite], best[chosen][finite], geometry))

    def _scores(self, rows: Array) -> Array:
        """Return (n, classes) float32 scores."""
        scores = rows[:, PLACE + self._objectness :]
        if self._activation == "sigmoid":
            scores = activate(scores, self._activation)
        if not self._objectness:
            return scores
        objectness = rows[:, PLACE : PLACE + 1]
        together: Array = scores * (activate(objectness, "sigmoid") if self._activation == "sigmoid" else objectness)
        return together

    def _corners(self, places: Array) -> Array:
        """Return (n, 4) y0, x0, y1, x1 on the model's input, 0..1, for (n, 4) centre x, centre y, width, height."""
        centre, half = places[:, 1::-1] / self._unit, places[:, 3:1:-1] / self._unit / 2
        return np.concatenate((centre - half, centre + half), axis=1)

    def _suppress(self, boxes: Array, classes: Array, scores: Array, geometry: Geometry) -> tuple[Box, ...]:
        apart = boxes + (classes * 4.0)[:, None]  # each class on a picture of its own
        kept = np.array([group[0] for group in groups(apart, scores, self._iou, self._top_k)], np.intp)
        places, inside = to_source(boxes[kept], geometry)
        rows = zip(kept[inside].tolist(), places[inside].tolist(), strict=True)
        return tuple(
            Box(int(classes[i]), self._labels[int(classes[i])], float(scores[i]), tuple(place)) for i, place in rows
        )


def _shapes(info: EngineInfo) -> str:
    return ", ".join(str(list(output.shape)) for output in info.outputs) or "nothing"
