"""Every layout x unit x quantisation x activation x label form of the heads we read, against a decoder written anew.

The decoder here is plain Python over single numbers; it shares no line with the tasks. Each case knows its objects, encodes
them as such an export does, and must get them back.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from fixtures.models.descriptions import NO_FACTS, describe, engine_info
from inferd.errors import ModelError
from inferd.plugins import TASKS, Task, find
from inferd.records import Array, EngineInfo, Geometry, Result, TensorSpec
from inferd.wire.manifest import (
    Activation,
    BoxUnit,
    Decoder,
    InputSection,
    Layout,
    ModelDescription,
    ModelSection,
    OutputSection,
    TensorFacts,
)
from inferd.wire.manifest import Task as TaskName

HEIGHT, WIDTH = 64, 96
NAMES = ("cat", "dog", "bird")
OBJECTS = ((1, 0.9, (0.125, 0.25, 0.5, 0.75)), (0, 0.75, (0.5, 0.0625, 0.875, 0.1875)))
"""Class, score, box y0, x0, y1, x1 in shares."""
DTYPES = ("float32", "uint8", "int8")
LAYOUTS: tuple[Layout, ...] = ("nhwc", "nchw")
YOLOS: tuple[Decoder, ...] = ("yolov8", "yolov5")
RAW_OR_LOGITS: tuple[Activation, ...] = ("none", "sigmoid")
UNITS: tuple[BoxUnit, ...] = ("share", "pixel")


def picture_spec(layout: Layout) -> TensorSpec:
    return TensorSpec("x", (1, HEIGHT, WIDTH, 3) if layout == "nhwc" else (1, 3, HEIGHT, WIDTH), "float32")


def quantised(values: Array, dtype: str) -> tuple[Array, TensorSpec]:
    """Return values as a converter stores them, per tensor, and the tensor."""
    if dtype == "float32":
        return values.astype(np.float32), TensorSpec("y", values.shape, dtype)
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    limits = np.iinfo(dtype)
    scale = (high - low) / 255 or 1.0
    zero_point = round(limits.min - low / scale)
    stored = np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(dtype)
    return stored, TensorSpec("y", values.shape, dtype, values.shape, scale, zero_point)


def task(name: TaskName, layout: Layout, said: OutputSection, labels: tuple[str, ...], *specs: TensorSpec) -> Task:
    description, info = described(name, layout, said, labels, *specs)
    made: Task = find("task", TASKS, name)(description, info)
    return made


def described(
    name: TaskName, layout: Layout, said: OutputSection, labels: tuple[str, ...], *specs: TensorSpec
) -> tuple[ModelDescription, EngineInfo]:
    description = describe(InputSection(layout=layout), said, labels)
    manifest = msgspec.structs.replace(description.manifest, model=ModelSection(task=name))
    return msgspec.structs.replace(description, manifest=manifest), engine_info([picture_spec(layout)], specs)


def logit(score: float) -> float:
    return math.log(score / (1 - score))


@dataclass(frozen=True)
class YoloCase:
    """One export of a YOLO head."""

    decoder: Decoder
    rows_first: bool
    unit: BoxUnit
    dtype: str
    activation: Activation
    labelled: bool
    layout: Layout

    def rows(self) -> Array:
        """Return (n, columns) of the head: background everywhere but for the objects."""
        places = (8 * 12 + 4 * 6 + 2 * 3) * (3 if self.decoder == "yolov5" else 1)
        objectness = self.decoder == "yolov5"
        quiet = 0.0 if self.activation == "none" else -8.0
        table = np.full((places, 4 + objectness + len(NAMES)), quiet)
        table[:, :4] = 0.0
        for at, (kind, score, box) in enumerate(OBJECTS):
            y0, x0, y1, x1 = box
            high, wide = (HEIGHT, WIDTH) if self.unit == "pixel" else (1, 1)
            table[at + 5, :4] = ((x0 + x1) / 2 * wide, (y0 + y1) / 2 * high, (x1 - x0) * wide, (y1 - y0) * high)
            each = math.sqrt(score) if objectness else score
            told = each if self.activation == "none" else logit(each)
            table[at + 5, 4 + objectness + kind] = told
            if objectness:
                table[at + 5, 4] = told
        return table


YOLO = [
    YoloCase(*case)
    for case in itertools.product(YOLOS, (True, False), UNITS, DTYPES, RAW_OR_LOGITS, (True, False), LAYOUTS)
]


@pytest.mark.parametrize("case", YOLO, ids=str)
def test_a_yolo_head_gives_its_objects_back(case: YoloCase) -> None:
    rows = case.rows()
    head = rows[None] if case.rows_first else rows.T[None]
    stored, spec = quantised(head, case.dtype)
    said = OutputSection(decoder=case.decoder, box_unit=case.unit, activation=case.activation)
    labels = NAMES if case.labelled else ()
    boxes = task("detect", case.layout, said, labels, spec).decode([stored], Geometry()).boxes or ()
    assert [(box.id, box.label) for box in boxes] == [
        (kind, NAMES[kind] if labels else str(kind)) for kind, _, _ in OBJECTS
    ]
    coarse = case.dtype != "float32"  # one scale for places in pixels and scores: see the largest value
    step = spec.scale if coarse else 0.0
    for box, (_, score, place) in zip(boxes, OBJECTS, strict=True):
        if case.activation == "none":
            assert box.score == pytest.approx(score, abs=2 * step + 1e-6)
        assert box.box == pytest.approx(place, abs=step / (HEIGHT if case.unit == "pixel" else 1) + step + 1e-5)


@pytest.mark.parametrize(
    ("unit", "labelled", "layout", "boxes"), list(itertools.product(UNITS, (True, False), LAYOUTS, (300, 100)))
)
def test_an_end_to_end_head_gives_its_objects_back(unit: BoxUnit, labelled: bool, layout: Layout, boxes: int) -> None:  # noqa: FBT001
    head = np.zeros((1, boxes, 6), np.float32)
    for at, (kind, score, (y0, x0, y1, x1)) in enumerate(OBJECTS):
        high, wide = (HEIGHT, WIDTH) if unit == "pixel" else (1, 1)
        head[0, at] = (x0 * wide, y0 * high, x1 * wide, y1 * high, score, kind)
    said = OutputSection(decoder="yolov8", box_unit=unit)
    labels = NAMES if labelled else ()
    found = (
        task("detect", layout, said, labels, TensorSpec("y", head.shape, "float32")).decode([head], Geometry()).boxes
        or ()
    )
    assert [box.id for box in found] == [kind for kind, _, _ in OBJECTS]
    for box, (_, score, place) in zip(found, OBJECTS, strict=True):
        assert box.score == pytest.approx(score)
        assert box.box == pytest.approx(place, abs=1e-5)


def plain_scores(values: list[float], activation: Activation) -> list[float]:
    """Return scores for real outputs, number by number; one number is two classes."""
    if activation == "softmax":
        powers = [math.exp(value - max(values)) for value in values]
        return [power / sum(powers) for power in powers]
    scores = [1 / (1 + math.exp(-value)) for value in values] if activation == "sigmoid" else values
    return [1 - scores[0], scores[0]] if len(scores) == 1 else scores


CLASSIFIERS = [
    case
    for case in itertools.product((1, 2, 3, 7), DTYPES, ("none", "sigmoid", "softmax"), (True, False), (0, 1))
    if not (case[0] == 1 and (case[2] == "softmax" or case[4]))
]


@pytest.mark.parametrize(("classes", "dtype", "activation", "labelled", "offset"), CLASSIFIERS)
def test_a_classifier_gives_every_class_its_score(
    classes: int,
    dtype: str,
    activation: Activation,
    labelled: bool,  # noqa: FBT001
    offset: int,
) -> None:
    real = [0.1 + 0.8 * ((3 * at) % classes) / max(classes - 1, 1) for at in range(classes)]
    told = real if activation == "none" else [4 * value - 2 for value in real]
    stored, spec = quantised(np.array([told]), dtype)
    exact = (stored[0].astype(float) - spec.zero_point) * spec.scale if spec.quantized else np.array(told)
    wanted = plain_scores(exact.tolist(), activation)
    labels = tuple(f"c{at}" for at in range(len(wanted) + offset)) if labelled else ()
    said = OutputSection(activation=activation, label_offset=offset, top_k=len(wanted))
    found = task("classify", "nhwc", said, labels, spec).decode([stored], Geometry()).labels or ()
    assert {label.id: label.score for label in found} == pytest.approx(dict(enumerate(wanted)), abs=1e-5)
    assert all(label.label == (f"c{label.id + offset}" if labelled else str(label.id)) for label in found)


def maps() -> Iterator[tuple[str, str, Layout, bool]]:
    for form, dtype, labelled in itertools.product(("hw", "hw1", "1hw"), ("uint8", "int32", "int64"), (True, False)):
        yield form, dtype, "nhwc", labelled
    for form, dtype, layout in itertools.product(("hwn", "nhw"), DTYPES, LAYOUTS):
        yield form, dtype, layout, True
    for dtype in DTYPES:
        yield "hwn", dtype, "nhwc", False
        yield "nhw", dtype, "nchw", False


@pytest.mark.parametrize(("form", "dtype", "layout", "labelled"), list(maps()))
def test_a_segmentation_gives_each_class_its_share(form: str, dtype: str, layout: Layout, labelled: bool) -> None:  # noqa: FBT001
    cells = np.zeros((4, 6), np.int64)
    cells[:, 3:] = 1
    cells[2:, 3:] = 2
    if form in ("hw", "hw1", "1hw"):
        stored = {"hw": cells[None], "hw1": cells[None, :, :, None], "1hw": cells[None, None]}[form].astype(dtype)
        spec = TensorSpec("y", stored.shape, dtype)
    else:
        scores = np.eye(3)[cells] * 0.8 + 0.1
        stored, spec = quantised(scores[None] if form == "hwn" else scores.transpose(2, 0, 1)[None], dtype)
    labels = NAMES if labelled else ()
    mask = task("segment", layout, OutputSection(), labels, spec).decode([stored], Geometry()).mask
    assert mask is not None
    assert mask.shape == (4, 6)
    names = NAMES if labelled else ("0", "1", "2")
    assert mask.labels == pytest.approx(dict(zip(names, (0.5, 0.25, 0.25), strict=True)))


def test_classes_beyond_255_keep_their_numbers() -> None:
    cells = np.array([[[3, 300], [300, 40_000]]], np.int32)
    found = task("segment", "nhwc", OutputSection(), (), TensorSpec("y", cells.shape, "int32"))
    mask = found.decode([cells], Geometry()).mask
    assert mask is not None
    assert mask.labels == {"300": 0.5, "3": 0.25, "40000": 0.25}


ORDERS = list(itertools.permutations(range(4)))


@pytest.mark.parametrize(("order", "dtype"), list(itertools.product(ORDERS, ("float32", "uint8"))))
def test_the_outputs_of_the_detection_operator_are_told_apart_by_its_own_order(
    order: tuple[int, ...], dtype: str
) -> None:
    """Names lie: every output is called "scores". The operator's order is boxes, classes, scores, count."""
    real = (
        np.array([[box for _, _, box in OBJECTS]]),
        np.array([[float(kind) for kind, _, _ in OBJECTS]]),
        np.array([[score for _, score, _ in OBJECTS]]),
        np.array([float(len(OBJECTS))]),
    )
    stored = [quantised(values, dtype) for values in real]
    specs = [msgspec.structs.replace(stored[at][1], name="scores") for at in order]
    description, info = described(
        "detect", "nhwc", OutputSection(decoder="tflite_detection_postprocess"), NAMES, *specs
    )
    outputs = tuple(
        TensorFacts(spec, "TFLite_Detection_PostProcess", at) for spec, at in zip(specs, order, strict=True)
    )
    facts = msgspec.structs.replace(NO_FACTS, outputs=outputs)
    made: Task = find("task", TASKS, "detect")(msgspec.structs.replace(description, facts=facts), info)
    boxes = made.decode([stored[at][0] for at in order], Geometry()).boxes or ()
    assert [box.label for box in boxes] == [NAMES[kind] for kind, _, _ in OBJECTS]
    for box, (_, score, place) in zip(boxes, OBJECTS, strict=True):
        assert box.score == pytest.approx(score, abs=0.01)
        assert box.box == pytest.approx(place, abs=0.01)


def decode_yolo(rows: Array, said: OutputSection, labels: tuple[str, ...] = ()) -> Result:
    stored = rows[None].astype(np.float32)
    return task("detect", "nhwc", said, labels, TensorSpec("y", stored.shape, "float32")).decode([stored], Geometry())


@pytest.mark.parametrize(
    ("columns", "labels", "sentence"),
    [
        (4 + 3 + 32, NAMES, "segmentation head"),
        (4 + 3 + 1, NAMES, "rotated boxes"),
        (4 + 1 + 51, ("person",), "pose head of 17 points"),
        (4 + 80, NAMES, "the file has 80 classes"),
        (3, (), "too few numbers"),
    ],
)
def test_another_head_is_refused_by_its_name(columns: int, labels: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(ModelError, match=sentence):
        decode_yolo(np.zeros((8 * 12 + 4 * 6 + 2 * 3, columns)), OutputSection(decoder="yolov8"), labels)


@pytest.mark.parametrize(
    ("case", "said", "sentence"),
    [
        (
            YoloCase("yolov8", True, "pixel", "", "none", False, "nhwc"),
            OutputSection(decoder="yolov8", box_unit="share"),
            "pixels",
        ),
        (
            YoloCase("yolov8", True, "share", "", "none", False, "nhwc"),
            OutputSection(decoder="yolov8", box_unit="pixel"),
            "shares",
        ),
        (
            YoloCase("yolov8", True, "share", "", "sigmoid", False, "nhwc"),
            OutputSection(decoder="yolov8"),
            "not 0 to 1",
        ),
    ],
    ids=["pixels as shares", "shares as pixels", "logits as scores"],
)
def test_what_contradicts_the_manifest_is_refused_in_a_sentence(
    case: YoloCase, said: OutputSection, sentence: str
) -> None:
    with pytest.raises(ModelError, match=sentence):
        decode_yolo(case.rows(), said)


def test_a_softmax_over_one_number_is_refused() -> None:
    with pytest.raises(ModelError, match="always 1"):
        task(
            "classify", "nhwc", OutputSection(activation="softmax"), ("cat", "dog"), TensorSpec("y", (1, 1), "float32")
        )
