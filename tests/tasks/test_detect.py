from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fixtures.models.descriptions import describe, engine_info
from inferd.errors import ModelError
from inferd.records import Array, Box, Geometry, TensorSpec
from inferd.tasks.detect import build, find_roles
from inferd.wire.manifest import OutputSection

OPERATOR_NAMES = [
    "TFLite_Detection_PostProcess",
    "TFLite_Detection_PostProcess:1",
    "TFLite_Detection_PostProcess:2",
    "TFLite_Detection_PostProcess:3",
]
BOX = (0.1, 0.2, 0.3, 0.4)


def spec(name: str, shape: tuple[int, ...] = ()) -> TensorSpec:
    return TensorSpec(name, shape, "float32", shape)


def outputs(
    boxes: Sequence[Sequence[float]], classes: Sequence[float], scores: Sequence[float], count: float | None = None
) -> list[Array]:
    valid = len(scores) if count is None else count
    rows = [np.array([boxes]), np.array([classes]), np.array([scores]), np.array([valid])]
    return [row.astype(np.float32) for row in rows]


def boxes_of(
    values: Sequence[Array],
    section: OutputSection | None = None,
    geometry: Geometry | None = None,
    names: Sequence[str] = OPERATOR_NAMES,
) -> tuple[Box, ...]:
    said = section or OutputSection(decoder="tflite_detection_postprocess")
    info = engine_info([], [spec(name) for name in names])
    found = build(describe(output_section=said, labels=("cat", "dog")), info).decode(values, geometry or Geometry())
    assert found.boxes is not None
    return found.boxes


def test_a_box_has_its_class_score_and_place() -> None:
    (box,) = boxes_of(outputs([BOX], [1], [0.75]))
    assert (box.id, box.label, box.score) == (1, "dog", 0.75)
    assert box.box == pytest.approx(BOX)


def test_boxes_are_placed_on_the_source_picture() -> None:
    (box,) = boxes_of(outputs([BOX], [0], [0.9]), geometry=Geometry(0.5, 0.25, 2.0, -0.1))
    assert box.box == pytest.approx((0.3, 0.3, 0.4, 0.7))


def test_only_as_many_as_the_model_counts_are_valid() -> None:
    assert len(boxes_of(outputs([BOX, BOX, BOX], [0, 0, 0], [0.9, 0.9, 0.9], count=2))) == 2


@pytest.mark.parametrize("count", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_count_that_is_no_count_gives_nothing(count: float) -> None:
    assert boxes_of(outputs([BOX], [0], [0.9], count=count)) == ()


def test_a_count_larger_than_the_output_is_cut() -> None:
    assert len(boxes_of(outputs([BOX], [0], [0.9], count=100))) == 1


def test_the_best_box_is_first_and_weak_ones_are_left_out() -> None:
    found = boxes_of(outputs([BOX, BOX, BOX], [0, 0, 1], [0.6, 0.1, 0.8]))
    assert [(box.id, round(box.score, 3)) for box in found] == [(1, 0.8), (0, 0.6)]


def test_no_more_than_top_k_are_told() -> None:
    section = OutputSection(decoder="tflite_detection_postprocess", top_k=1)
    assert len(boxes_of(outputs([BOX, BOX], [0, 0], [0.6, 0.7]), section)) == 1


@pytest.mark.parametrize(
    "bad",
    [
        (float("nan"), 0.1, 0.5, 0.5),
        (0.5, 0.5, 0.1, 0.1),
        (0.2, 0.2, 0.2, 0.4),
        (1.2, 0.1, 1.5, 0.5),
        (-0.5, -0.5, -0.1, -0.1),
    ],
)
def test_a_box_that_is_none_is_left_out(bad: tuple[float, ...]) -> None:
    assert len(boxes_of(outputs([bad, BOX], [0, 0], [0.9, 0.8]))) == 1


def test_a_score_or_class_that_is_not_a_number_is_left_out() -> None:
    values = outputs([BOX, BOX, BOX], [0, float("nan"), 0], [float("nan"), 0.9, 0.8])
    assert [round(box.score, 3) for box in boxes_of(values)] == [0.8]


def test_a_box_that_reaches_over_the_edge_is_cut_there() -> None:
    (box,) = boxes_of(outputs([(-0.1, 0.2, 1.1, 0.4)], [0], [0.9]))
    assert box.box == pytest.approx((0.0, 0.2, 1.0, 0.4))


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (OPERATOR_NAMES, ("boxes", "classes", "scores", "count")),
        (list(reversed(OPERATOR_NAMES)), ("count", "scores", "classes", "boxes")),
        ([f"StatefulPartitionedCall:{n}" for n in (1, 3, 0, 2)], ("scores", "boxes", "count", "classes")),
        (
            ["detection_scores", "num_detections", "detection_boxes", "detection_classes"],
            ("scores", "count", "boxes", "classes"),
        ),
        (["location", "category", "score", "number of detections"], ("boxes", "classes", "scores", "count")),
        (["a", "b", "c", "d"], ("boxes", "classes", "scores", "count")),
    ],
)
def test_outputs_are_told_apart_by_name(names: list[str], roles: tuple[str, ...]) -> None:
    assert find_roles([spec(name) for name in names]) == roles


def test_outputs_in_another_order_are_read_by_their_roles() -> None:
    values = outputs([BOX], [1], [0.75])
    reordered = [values[2], values[0], values[3], values[1]]
    (box,) = boxes_of(reordered, names=[f"StatefulPartitionedCall:{n}" for n in (1, 3, 0, 2)])
    assert (box.id, box.score) == (1, 0.75)


def test_outputs_that_do_not_fit_together_are_named() -> None:
    with pytest.raises(ModelError, match=r"gives \[1, 1, 4\], \[1, 2\]"):
        boxes_of(outputs([BOX], [0, 0], [0.9]))


def test_a_model_with_three_outputs_is_no_such_detector() -> None:
    with pytest.raises(ModelError, match="has 3 outputs"):
        boxes_of([], names=["a", "b", "c"])


def test_a_detector_without_a_decoder_is_asked_about() -> None:
    with pytest.raises(ModelError, match=r"say output\.decoder"):
        build(describe(), engine_info([], []))
