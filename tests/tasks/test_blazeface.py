from __future__ import annotations

import numpy as np
import pytest

from fixtures.models.descriptions import describe, engine_info
from inferd.errors import ModelError
from inferd.records import Array, Geometry, Result, TensorSpec
from inferd.tasks.blazeface import anchor_centres
from inferd.tasks.detect import build
from inferd.wire.manifest import OutputSection

FACE = OutputSection(decoder="blazeface")
INPUT = TensorSpec("input", (1, 128, 128, 3), "float32", (1, 128, 128, 3))
REGRESSORS = TensorSpec("regressors", (1, 896, 16), "float32", (1, 896, 16))
CLASSIFICATORS = TensorSpec("classificators", (1, 896, 1), "float32", (1, 896, 1))
MIDDLE = 16 * 2 * 8 + 8 * 2  # the anchor of row 8, column 8 of the fine grid: its centre is at 8.5 / 16


def raw(*faces: tuple[int, float, float]) -> tuple[Array, Array]:
    """Return outputs in which the given anchors see a face: anchor, raw score, side in pixels."""
    regressors = np.zeros((1, 896, 16), np.float32)
    scores = np.full((1, 896, 1), -9.0, np.float32)
    for anchor, score, side_px in faces:
        regressors[0, anchor, 2:4] = side_px
        regressors[0, anchor, 4:6] = (12.8, -12.8)  # the first point: right of the centre and above it
        scores[0, anchor, 0] = score
    return regressors, scores


def decode(regressors: Array, scores: Array, geometry: Geometry | None = None) -> Result:
    task = build(describe(output_section=FACE), engine_info([INPUT], [REGRESSORS, CLASSIFICATORS]))
    return task.decode([regressors, scores], geometry or Geometry())


def test_there_are_896_anchors_in_two_grids() -> None:
    centres = anchor_centres()
    assert centres.shape == (896, 2)
    assert centres[:3].tolist() == [[1 / 32, 1 / 32], [1 / 32, 1 / 32], [1 / 32, 3 / 32]]
    assert centres[512:519].tolist() == [[1 / 16, 1 / 16]] * 6 + [[1 / 16, 3 / 16]]


def test_a_face_lies_around_its_anchor() -> None:
    boxes = decode(*raw((MIDDLE, 0.0, 32.0))).boxes
    assert boxes is not None
    assert boxes[0].box == pytest.approx([8.5 / 16 - 0.125] * 2 + [8.5 / 16 + 0.125] * 2)
    assert (boxes[0].label, boxes[0].score) == ("face", 0.5)


def test_each_face_has_six_points_that_lie_where_they_should() -> None:
    points = decode(*raw((MIDDLE, 3.0, 32.0))).keypoints
    assert points is not None
    assert len(points) == 6
    assert points[0][:2] == pytest.approx((8.5 / 16 - 0.1, 8.5 / 16 + 0.1))


def test_points_are_placed_on_the_source_picture_like_boxes() -> None:
    points = decode(*raw((MIDDLE, 3.0, 32.0)), Geometry(2.0, -0.5, 1.0, 0.0)).keypoints
    assert points is not None
    assert points[1][:2] == pytest.approx((2 * 8.5 / 16 - 0.5, 8.5 / 16))


def test_overlapping_faces_are_one_with_the_best_score() -> None:
    boxes = decode(*raw((MIDDLE, 3.0, 32.0), (MIDDLE + 1, 1.0, 32.0), (MIDDLE + 2, 1.0, 32.0))).boxes
    assert boxes is not None
    assert [round(box.score, 4) for box in boxes] == [0.9526]


def test_faces_apart_are_two_and_the_better_is_first() -> None:
    boxes = decode(*raw((0, 1.0, 8.0), (511, 3.0, 8.0))).boxes
    assert boxes is not None
    assert [round(box.score, 3) for box in boxes] == [0.953, 0.731]


def test_no_face_is_an_empty_answer() -> None:
    assert decode(*raw()) == Result(boxes=(), keypoints=())


def test_numbers_that_are_none_are_left_out() -> None:
    regressors, scores = raw((MIDDLE, 3.0, 32.0), (0, 3.0, 32.0))
    regressors[0, MIDDLE, 9] = np.nan
    scores[0, 0, 0] = np.nan
    assert decode(regressors, scores) == Result(boxes=(), keypoints=())


@pytest.mark.filterwarnings("error")
def test_scores_far_out_do_not_overflow() -> None:
    regressors, scores = raw((MIDDLE, 1e9, 32.0))
    scores[0, 0] = -1e9
    boxes = decode(regressors, scores).boxes
    assert boxes is not None
    assert [box.score for box in boxes] == [1.0]


def test_outputs_may_come_in_either_order() -> None:
    regressors, scores = raw((MIDDLE, 3.0, 32.0))
    task = build(describe(output_section=FACE), engine_info([INPUT], [CLASSIFICATORS, REGRESSORS]))
    assert task.decode([scores, regressors], Geometry()) == decode(regressors, scores)


def test_another_number_of_anchors_is_named() -> None:
    other = TensorSpec("regressors", (1, 2304, 16), "float32", (1, 2304, 16))
    with pytest.raises(ModelError, match="reads 896 anchors"):
        build(describe(output_section=FACE), engine_info([INPUT], [other, CLASSIFICATORS]))
