"""YOLO heads, by small real models of both layouts (make_yolo_heads.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fixtures.models.descriptions import BareModel, describe, engine_info, picture_frame
from inferd.errors import ModelError
from inferd.preprocess import build
from inferd.records import Array, Box, Geometry, TensorSpec
from inferd.tasks.detect import build as detect
from inferd.wire.manifest import BoxUnit, Decoder, InputSection, OutputSection

MODELS = Path(__file__).parent / "models"
WHOLE = (0.0, 0.0, 1.0, 1.0)
LABELS = ("red", "blue")
DECODERS: tuple[Decoder, ...] = ("yolov5", "yolov8")


def picture() -> Array:
    """A red square in the cells 2, 2 and a blue one in 5, 6 of a grid of 8 x 8, BGR."""
    drawn = np.zeros((64, 64, 3), np.uint8)
    drawn[16:24, 16:24, 2] = 230
    drawn[40:48, 48:56, 0] = 200
    return drawn


def found(decoder: Decoder, shown: Array, **said: object) -> tuple[Box, ...]:
    model = BareModel(MODELS / f"{decoder}.tflite")
    output = OutputSection(decoder=decoder, **said)  # type: ignore[arg-type]  # tests name right keys
    section = InputSection(range=(0.0, 1.0), resize="letterbox", filter="nearest")
    description = describe(section, output, LABELS)
    return (
        model.run(build(description, model.info, WHOLE), detect(description, model.info), picture_frame(shown)).boxes
        or ()
    )


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_real_head_finds_both_squares_best_first(decoder: Decoder) -> None:
    boxes = found(decoder, picture())
    assert [(box.id, box.label) for box in boxes] == [(0, "red"), (1, "blue")]
    assert boxes[0].box == pytest.approx((12 / 64, 12 / 64, 28 / 64, 28 / 64))
    assert boxes[1].box == pytest.approx((36 / 64, 44 / 64, 52 / 64, 60 / 64))


def test_the_score_of_an_anchor_less_head_is_that_of_its_class() -> None:
    assert [box.score for box in found("yolov8", picture())] == pytest.approx([230 / 255, 200 / 255])


def test_the_score_of_a_head_with_objectness_is_the_product() -> None:
    boxes = found("yolov5", picture())
    assert [box.score for box in boxes] == pytest.approx([(230 / 255) ** 2, (200 / 255) ** 2])


def test_boxes_lie_on_the_source_picture_not_on_its_letterbox() -> None:
    wide = np.zeros((64, 128, 3), np.uint8)
    wide[:, 64:] = picture()
    boxes = found("yolov8", np.repeat(np.repeat(wide, 2, 0), 2, 1), threshold=0.1, top_k=1)
    y0, x0, y1, x1 = boxes[0].box
    assert x0 < 84 / 128 < x1
    assert y0 < 20 / 64 < y1
    assert (y1 - y0, x1 - x0) == pytest.approx((0.5, 0.25))


def decode(
    rows: Array, decoder: Decoder, unit: BoxUnit | None = None, classes: int = 2, **said: object
) -> tuple[Box, ...]:
    output = OutputSection(decoder=decoder, box_unit=unit, **said)  # type: ignore[arg-type]  # as above
    info = engine_info([TensorSpec("x", (1, 100, 200, 3), "float32")], [TensorSpec("y", rows.shape, rows.dtype.name)])
    task = detect(describe(None, output, [f"c{n}" for n in range(classes)]), info)
    return task.decode([rows], Geometry()).boxes or ()


def test_places_in_pixels_are_told_by_the_manifest() -> None:
    rows = np.array([[[100.0, 50.0, 20.0, 10.0, 0.9, 0.1]]], np.float32).transpose(0, 2, 1)
    (box,) = decode(rows, "yolov8", "pixel")
    assert box.box == pytest.approx((0.45, 0.45, 0.55, 0.55))


def test_two_classes_in_one_place_are_two_objects_and_one_class_is_one() -> None:
    rows = np.array([[[0.5, 0.5, 0.2, 0.2, *scores] for scores in ((0.9, 0.0), (0.0, 0.8), (0.7, 0.0))]], np.float32)
    boxes = decode(rows.transpose(0, 2, 1), "yolov8")
    assert [box.id for box in boxes] == [0, 1]
    assert [box.score for box in boxes] == pytest.approx([0.9, 0.8])


def test_a_file_with_its_axes_the_other_way_round_is_read_by_its_labels() -> None:
    rows = np.zeros((1, 9, 6), np.float32)
    rows[0, 4] = (0.5, 0.5, 0.2, 0.2, 0.1, 0.9)
    assert decode(rows, "yolov8") == decode(rows.transpose(0, 2, 1), "yolov8")


def test_logits_become_scores_where_the_manifest_says_sigmoid() -> None:
    rows = np.array([[[0.5, 0.5, 0.2, 0.2, 0.0, -20.0]]], np.float32).transpose(0, 2, 1)
    (box,) = decode(rows, "yolov8", activation="sigmoid")
    assert box.score == pytest.approx(0.5)


def test_what_is_not_finite_is_left_out() -> None:
    rows = np.array([[[np.nan, 0.5, 0.2, 0.2, 0.9, 0.0], [0.5, 0.5, 0.2, 0.2, np.nan, 0.9]]], np.float32)
    assert decode(rows.transpose(0, 2, 1), "yolov8") == ()


def test_another_shape_is_refused_with_the_one_it_reads() -> None:
    with pytest.raises(ModelError, match=r"\(1, rows, columns\)"):
        decode(np.zeros((1, 7), np.float32), "yolov8")
