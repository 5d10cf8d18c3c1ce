"""YOLO heads: one row of numbers for each place and size that an object may have.

Layouts, as https://docs.ultralytics.com/modes/export and https://github.com/ultralytics/yolov5 write them:

* "yolov8" (also 9 and 11): (1, 4 + classes, n): centre x, centre y, width, height, then a score per class.
* "yolov5" (also 7, X): (1, n, 5 + classes): the same four, the score of any object, then a score per class; both multiply.
* end to end ("yolov8" exports with `nms=True`; 10 and 26): (1, n, 6): x0, y0, x1, y1, score, class; suppressed already.

The axis of places is the one whose length the input's size gives, else the one that does not fit the labels, else the longer one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.picture_input import PictureShape, require_picture
from inferd.records import Array, Box, EngineInfo, Geometry, Result
from inferd.tasks.postprocess.boxes import to_source
from inferd.tasks.postprocess.labels import Labels
from inferd.tasks.postprocess.nms import groups
from inferd.tasks.postprocess.scores import activate, require_scores
from inferd.wire.manifest import ModelDescription

DEFAULT_THRESHOLD = 0.25
DEFAULT_IOU = 0.45
DEFAULT_TOP_K = 100
MOST_CANDIDATES = 1000  # the best so many go into suppression, whose cost grows with their square
PLACE = 4
END_TO_END = 6  # x0, y0, x1, y1, score, class
END_TO_END_MOST = 1000  # boxes that such an export gives; the default is 300
STRIDES = (8, 16, 32)  # of the three maps that a head reads
ANCHORS = {"yolov5": 3, "yolov8": 1}  # boxes for each cell of a map
MASKS = 32  # coefficients a box has in a segmentation head
ANGLE = 1  # number a box has more in a head for rotated boxes
POINT = 3  # numbers a keypoint takes: x, y, visibility
OUTSIDE = 2.0  # in shares: a box may reach over the edge, but not by the size of the picture
SMALL_PX = 2.0  # in pixels: boxes that all lie within two pixels of the corner are shares


class Yolo:
    """Reads one output, float or quantised."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Find out which axis is which.

        Args:
            description: tells decoder, labels, threshold, overlap, top_k, activation of scores, and whether places are shares of
                the input (the default; of an ONNX file, its pixels) or its pixels.
            info: tells shapes.

        Raises:
            ModelError: the output is no such head, or its classes do not fit the labels.
        """
        said = description.manifest.output
        self._name = description.ref.name
        self._objectness = said.decoder == "yolov5"
        shape = info.outputs[0].shape if info.outputs else ()
        if len(info.outputs) > 1 and len(shape) == len("1rn"):
            raise ModelError(self._name, f"gives {_shapes(info)}: {_several(info)}")
        if len(shape) != len("1rn") or shape[0] != 1 or min(shape[1:]) < 1:
            raise ModelError(self._name, f"gives {_shapes(info)}; the {said.decoder} decoder reads (1, rows, columns)")
        picture = require_picture(description, info)
        labels = len(description.labels)
        self._end_to_end = _is_end_to_end(shape, labels)
        self._rows_first = self._end_to_end or _by_rows(shape[1:], picture, said.decoder or "", labels)
        columns = shape[2] if self._rows_first else shape[1]
        if not self._end_to_end:
            self._require_classes(info, columns - PLACE - self._objectness, labels)
        self._spec = info.outputs[0]
        unit = said.box_unit or ("pixel" if description.facts.format == "onnx" else "share")
        self._pixels = unit == "pixel"
        self._unit = np.array((picture.height, picture.width) if self._pixels else (1, 1), np.float32)
        self._activation = said.activation or "none"
        self._threshold = DEFAULT_THRESHOLD if said.threshold is None else said.threshold
        self._iou = DEFAULT_IOU if said.iou_threshold is None else said.iou_threshold
        self._top_k = said.top_k or DEFAULT_TOP_K
        self._labels = Labels(description)

    def _require_classes(self, info: EngineInfo, classes: int, labels: int) -> None:
        if classes < 1:
            raise ModelError(self._name, f"gives {_shapes(info)}, too few numbers a box for this decoder")
        if labels and classes != labels:
            raise ModelError(
                self._name, f"gives {_shapes(info)}, but has {_count(labels)}: {_other_head(classes, labels)}"
            )

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:
        """Return the best `top_k` boxes with a score of at least `threshold`, best first; one class never hides another.

        Raises:
            ModelError: scores lie outside of 0..1, or places outside of their unit.
        """
        rows = outputs[0][0] if self._rows_first else outputs[0][0].T
        rows = dequantize(rows, self._spec)
        if self._end_to_end:
            return Result(boxes=self._ready(rows, geometry))
        scores = self._scores(rows)
        classes = scores.argmax(axis=1)
        best = scores[np.arange(len(scores)), classes]
        require_scores(best, self._name, "its classes")
        chosen = np.flatnonzero(best >= self._threshold)  # NaN is not
        chosen = chosen[np.argsort(-best[chosen], kind="stable")][:MOST_CANDIDATES]
        boxes = self._corners(rows[chosen, :PLACE])
        finite = np.isfinite(boxes).all(axis=1)
        self._require_unit(boxes[finite])
        return Result(boxes=self._suppress(boxes[finite], classes[chosen][finite], best[chosen][finite], geometry))

    def _ready(self, rows: Array, geometry: Geometry) -> tuple[Box, ...]:
        """Return the boxes of an end-to-end head, whose rows are boxes already."""
        scores = rows[:, PLACE]
        require_scores(scores, self._name, "its boxes")
        chosen = np.flatnonzero((scores >= self._threshold) & np.isfinite(rows).all(axis=1))
        chosen = chosen[np.argsort(-scores[chosen], kind="stable")][: self._top_k]
        corners = rows[chosen][:, (1, 0, 3, 2)] / np.tile(self._unit, 2)
        self._require_unit(corners)
        places, inside = to_source(corners, geometry)
        classes = rows[chosen, PLACE + 1].astype(np.int64)
        return tuple(
            Box(int(classes[i]), self._labels[int(classes[i])], float(scores[chosen[i]]), tuple(places[i].tolist()))
            for i in np.flatnonzero(inside).tolist()
        )

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

    def _require_unit(self, boxes: Array) -> None:
        """Refuse pixels taken for shares, and shares taken for pixels, for (n, 4) boxes on the model's input."""
        if not boxes.size:
            return
        furthest = float(np.abs(boxes).max())
        if not self._pixels and furthest > OUTSIDE:
            raise ModelError(self._name, f'places reach {furthest:.0f}, so they are pixels: say box_unit = "pixel"')
        if self._pixels and furthest * float(self._unit.max()) < SMALL_PX:
            raise ModelError(self._name, 'all places lie between 0 and 2, so they are shares: say box_unit = "share"')

    def _suppress(self, boxes: Array, classes: Array, scores: Array, geometry: Geometry) -> tuple[Box, ...]:
        apart = boxes + (classes * 4.0)[:, None]  # each class on a picture of its own
        kept = np.array([group[0] for group in groups(apart, scores, self._iou, self._top_k)], np.intp)
        places, inside = to_source(boxes[kept], geometry)
        rows = zip(kept[inside].tolist(), places[inside].tolist(), strict=True)
        return tuple(
            Box(int(classes[i]), self._labels[int(classes[i])], float(scores[i]), tuple(place)) for i, place in rows
        )


def places(picture: PictureShape, decoder: str) -> int:
    """Return how many boxes a head gives for a picture of this size."""
    cells = (-(-picture.height // stride) * -(-picture.width // stride) for stride in STRIDES)
    return sum(cells) * ANCHORS.get(decoder, 1)


def _by_rows(shape: tuple[int, ...], picture: PictureShape, decoder: str, labels: int) -> bool:
    """Whether the axis of places comes first."""
    count = places(picture, decoder)
    if (shape[0] == count) != (shape[1] == count):
        return shape[0] == count
    wanted = PLACE + (decoder == "yolov5") + labels
    if labels and (shape[0] == wanted) != (shape[1] == wanted):
        return shape[1] == wanted
    if shape[0] != shape[1]:
        return shape[0] > shape[1]
    return decoder == "yolov5"


def _is_end_to_end(shape: tuple[int, ...], labels: int) -> bool:
    """Whether rows are boxes already: six numbers each, and not two classes of a plain head."""
    return shape[2] == END_TO_END and shape[1] <= END_TO_END_MOST and labels not in (1, 2)


def _other_head(classes: int, labels: int) -> str:
    """Return which head has so many numbers a box more than there are labels."""
    more = classes - labels
    if more == MASKS:
        return "this is a segmentation head, and inferd reads boxes only; export the detection model"
    if more == ANGLE:
        return "this is a head for rotated boxes (OBB), which inferd does not read; export the detection model"
    if more > 0 and more % POINT == 0 and labels == 1:
        return (
            f"this is a pose head of {more // POINT} points, which inferd does not read; use a MoveNet model for poses"
        )
    return f"the file has {classes} classes; it needs the labels that it was trained with"


def _several(info: EngineInfo) -> str:
    if any(len(output.shape) == len("1chw") for output in info.outputs):
        return "this is a segmentation head, and inferd reads boxes only; export the detection model"
    return "several outputs; a YOLO head has one; export it whole, with its last layer"


def _count(labels: int) -> str:
    return "1 label" if labels == 1 else f"{labels} labels"


def _shapes(info: EngineInfo) -> str:
    return ", ".join(str(list(output.shape)) for output in info.outputs) or "nothing"
