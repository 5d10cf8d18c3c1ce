from __future__ import annotations

import numpy as np
import pytest

from inferd.records import Array
from inferd.tasks.postprocess.nms import groups, overlap


def as_lists(found: list[Array]) -> list[list[int]]:
    return [group.tolist() for group in found]


def test_overlap_is_the_share_of_the_common_area() -> None:
    boxes = np.array([[0, 0, 2, 2], [0, 0, 1, 2], [1, 1, 3, 3], [5, 5, 6, 6]], np.float32)
    assert overlap(boxes[0], boxes).tolist() == pytest.approx([1.0, 0.5, 1 / 7, 0.0])


def test_boxes_on_one_object_are_one_group_led_by_the_best() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]], np.float32)
    assert as_lists(groups(boxes, np.array([0.5, 0.9, 0.7]), 0.3, 10)) == [[1, 0], [2]]


def test_no_more_groups_than_wanted() -> None:
    boxes = np.array([[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]], np.float32)
    assert as_lists(groups(boxes, np.array([0.5, 0.9, 0.7]), 0.3, 2)) == [[1], [2]]


def test_boxes_without_area_end_too() -> None:
    assert as_lists(groups(np.zeros((3, 4), np.float32), np.array([1.0, 2.0, 3.0]), 0.3, 10)) == [[2], [1], [0]]


def test_nothing_has_no_groups() -> None:
    assert groups(np.empty((0, 4), np.float32), np.empty(0), 0.3, 10) == []


@pytest.mark.parametrize(("iou_threshold", "expected"), [(0.5, [[0], [1]]), (0.3, [[0, 1]])])
def test_boxes_that_overlap_by_less_than_the_threshold_are_two_objects(
    iou_threshold: float, expected: list[list[int]]
) -> None:
    boxes = np.array([[0, 0, 10, 10], [0, 4, 10, 14]], np.float32)  # 60 of 140: 0.43
    assert as_lists(groups(boxes, np.array([0.9, 0.5]), iou_threshold, 10)) == expected
