"""Many boxes for one object become one."""

from __future__ import annotations

import numpy as np

from inferd.records import Array


def overlap(box: Array, boxes: Array) -> Array:
    """Return (n,) the intersection over union of one (4,) box with (n, 4) boxes, all y0, x0, y1, x1."""
    top_left = np.maximum(box[:2], boxes[:, :2])
    bottom_right = np.minimum(box[2:], boxes[:, 2:])
    common = np.clip(bottom_right - top_left, 0, None).prod(axis=1)
    area = (box[2] - box[0]) * (box[3] - box[1])
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    share: Array = common / np.maximum(area + areas - common, np.finfo(np.float32).tiny)
    return share


def groups(boxes: Array, scores: Array, iou_threshold: float, most: int) -> list[Array]:
    """Return groups of indices that show the same object, best first in each and between them.

    Args:
        boxes: (n, 4) y0, x0, y1, x1 in any unit.
        scores: (n,) higher is better.
        iou_threshold: a box that overlaps a group's best one by more belongs to it (0..1).
        most: no more groups than this.
    """
    left = np.argsort(-scores, kind="stable")
    found: list[Array] = []
    while left.size and len(found) < most:
        same = overlap(boxes[left[0]], boxes[left]) > iou_threshold
        same[0] = True  # a box without area does not even overlap itself
        found.append(left[same])
        left = left[~same]
    return found
