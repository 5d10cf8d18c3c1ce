"""Which objects a picture shows, and where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.plugins import Task
from inferd.records import Array, Box, EngineInfo, Geometry, Result, TensorSpec
from inferd.tasks.blazeface import BlazeFace
from inferd.tasks.postprocess.boxes import to_source
from inferd.tasks.postprocess.labels import Labels
from inferd.tasks.postprocess.scores import require_scores
from inferd.tasks.yolo import Yolo
from inferd.wire.manifest import ModelDescription, TensorFacts

DEFAULT_THRESHOLD = 0.5
DEFAULT_TOP_K = 100

ROLES = ("boxes", "classes", "scores", "count")  # the order in which the operator gives its outputs
OPERATOR = "TFLite_Detection_PostProcess"
SIGNATURE = "StatefulPartitionedCall"
SIGNATURE_ROLES = ("count", "scores", "classes", "boxes")  # TensorFlow 2 numbers them the other way round
WORDS = {
    "boxes": ("box", "location"),
    "classes": ("class", "categor"),
    "scores": ("score", "confidence"),
    "count": ("num", "count"),
}


def build(description: ModelDescription, info: EngineInfo) -> Task:
    """Make the reader that the manifest's `output.decoder` names.

    Raises:
        ModelError: none is named, or the model's outputs are not what it reads.
    """
    decoder = description.manifest.output.decoder
    if decoder == "tflite_detection_postprocess":
        return TfliteDetection(description, info)
    if decoder == "blazeface":
        return BlazeFace(description, info)
    if decoder in ("yolov5", "yolov8"):
        return Yolo(description, info)
    remedy = "say output.decoder (tflite_detection_postprocess, blazeface, yolov5 or yolov8), or use --task raw"
    raise ModelError(description.ref.name, f"is a detector, but nothing says how its outputs become boxes; {remedy}")


class TfliteDetection:
    """Reads TFLite_Detection_PostProcess: boxes (1, n, 4), classes and scores (1, n), and count (1,), float or quantised."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Find out which output is which.

        Args:
            description: tells labels, offset, threshold and top_k.
            info: tells the outputs' names; their shapes are known only after an invoke.

        Raises:
            ModelError: there are not four outputs.
        """
        if len(info.outputs) != len(ROLES):
            raise ModelError(
                description.ref.name, f"has {len(info.outputs)} outputs, but {OPERATOR} gives {len(ROLES)}"
            )
        said = description.manifest.output
        roles = find_roles(info.outputs, description.facts.outputs)
        self._specs = info.outputs
        self._boxes, self._classes, self._scores, self._count = (roles.index(role) for role in ROLES)
        self._threshold = DEFAULT_THRESHOLD if said.threshold is None else said.threshold
        self._top_k = said.top_k or DEFAULT_TOP_K
        self._labels = Labels(description)
        self._name = description.ref.name

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:
        """Return the best `top_k` boxes with a score of at least `threshold`, best first.

        What is not finite, or lies outside of the picture, is left out; what reaches over its edge is cut there.

        Raises:
            ModelError: the outputs do not have the shapes of boxes, classes and scores.
        """
        real = [dequantize(values, spec) for values, spec in zip(outputs, self._specs, strict=True)]
        scores = real[self._scores].reshape(-1)
        boxes = real[self._boxes]
        classes = real[self._classes].reshape(-1)
        if boxes.size != scores.size * 4 or classes.size != scores.size:
            shapes = ", ".join(str(list(output.shape)) for output in outputs)
            raise ModelError(self._name, f"gives {shapes}, which are not boxes, classes, scores and their count")
        valid = _valid_count(real[self._count], scores.size)
        require_scores(scores[:valid], self._name, "its boxes")
        chosen = np.flatnonzero(scores[:valid] >= self._threshold)  # NaN is not
        return Result(boxes=self._read(boxes.reshape(-1, 4)[chosen], classes[chosen], scores[chosen], geometry))

    def _read(self, boxes: Array, classes: Array, scores: Array, geometry: Geometry) -> tuple[Box, ...]:
        boxes, inside = to_source(boxes, geometry)
        inside &= np.isfinite(classes)
        order = np.flatnonzero(inside)
        order = order[np.argsort(-scores[order], kind="stable")][: self._top_k]
        rows = zip(classes[order].astype(np.int64).tolist(), scores[order].tolist(), boxes[order].tolist(), strict=True)
        return tuple(Box(i, self._labels[i], score, tuple(box)) for i, score, box in rows)


def find_roles(outputs: Sequence[TensorSpec], facts: Sequence[TensorFacts] = ()) -> tuple[str, ...]:
    """Return the role of each of four outputs.

    The operator's own order decides, where the file shows it: converters give its outputs other names, and other orders.
    Elsewhere the number or the words in a name do.

    Args:
        outputs: as the engine has them.
        facts: the same outputs as the file has them.
    """
    by_operator = [ROLES[one.made_at] for one in facts if one.made_by == OPERATOR and one.made_at < len(ROLES)]
    if sorted(by_operator) == sorted(ROLES):
        return tuple(by_operator)
    names = [output.name for output in outputs]
    for roles in (_by_number(names, OPERATOR, ROLES), _by_number(names, SIGNATURE, SIGNATURE_ROLES), _by_words(names)):
        if sorted(roles) == sorted(ROLES):
            return tuple(roles)
    return ROLES


def _by_number(names: Sequence[str], stem: str, roles: Sequence[str]) -> list[str]:
    """Read names such as `stem` (number 0), `stem:1`, `stem:2`."""
    numbers = [name.removeprefix(stem).removeprefix(":") or "0" for name in names if name.startswith(stem)]
    return [roles[int(number)] for number in numbers if number.isdecimal() and int(number) < len(roles)]


def _by_words(names: Sequence[str]) -> list[str]:
    """Read names such as "detection_boxes", "num_detections", "category"; the first role whose word is there counts."""
    return [
        next((role for role, words in WORDS.items() if any(word in name.lower() for word in words)), "")
        for name in names
    ]


def _valid_count(count: Array, most: int) -> int:
    """Return how many detections are valid: what the model says, but never more than there is room for."""
    said = float(count.reshape(-1)[0]) if count.size else float(most)
    return int(min(max(said, 0.0), most)) if np.isfinite(said) else 0
