from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from fixtures.models.descriptions import describe, engine_info
from inferd.errors import ModelError
from inferd.records import Array, Geometry, TensorSpec
from inferd.tasks.segment import NOTHING, Segment
from inferd.wire.manifest import OutputSection

NAMES = ("background", "cat", "dog")
CLASSES = np.array([[[0, 0, 1, 1], [0, 2, 1, 1]]], np.int64)


def task(like: Array, said: OutputSection | None = None, labels: Sequence[str] = NAMES, scale: float = 0.0) -> Segment:
    spec = TensorSpec("y", like.shape, like.dtype.name, scale=scale)
    return Segment(describe(None, said, labels), engine_info([], [spec]))


def shares(cells: Array, geometry: Geometry | None = None, **more: object) -> dict[str, float]:
    mask = task(cells, **more).decode([cells], geometry or Geometry()).mask  # type: ignore[arg-type]  # by name
    assert mask is not None
    return mask.labels


def test_a_map_of_classes_gives_the_share_of_each_largest_first() -> None:
    assert list(shares(CLASSES).items()) == [("cat", 0.5), ("background", 0.375), ("dog", 0.125)]


def test_the_shape_of_the_map_is_told() -> None:
    mask = task(CLASSES).decode([CLASSES], Geometry()).mask
    assert mask is not None
    assert mask.shape == (2, 4)


def test_of_scores_the_best_class_counts() -> None:
    assert shares(np.eye(3, dtype=np.float32)[CLASSES]) == shares(CLASSES)


def test_quantised_scores_need_no_real_numbers() -> None:
    assert shares((np.eye(3) * 100).astype(np.int8)[CLASSES], scale=0.1) == shares(CLASSES)


def test_one_score_is_the_class_beside_the_background() -> None:
    scores = np.array([[[[0.9], [0.4]]]], np.float32)
    assert shares(scores) == {"background": 0.5, "cat": 0.5}
    assert shares(scores, said=OutputSection(threshold=0.3)) == {"cat": 1.0}


def test_bars_around_the_picture_count_nowhere() -> None:
    letterboxed = Geometry(scale_y=2.0, offset_y=-0.5)
    cells = np.array([[[9], [1], [1], [9]]], np.int64)
    assert shares(cells, letterboxed) == {"cat": 1.0}


def test_an_overlay_paints_all_but_the_background() -> None:
    segment = task(CLASSES)
    assert segment.overlay() is None
    segment.decode([CLASSES], Geometry())
    overlay = segment.overlay()
    assert overlay is not None
    assert overlay.classes.tolist() == [[NOTHING, NOTHING, 1, 1], [NOTHING, 2, 1, 1]]


def test_classes_without_labels_are_called_by_their_numbers() -> None:
    assert set(shares(CLASSES, labels=())) == {"0", "1", "2"}


def test_an_output_that_is_no_map_is_refused() -> None:
    with pytest.raises(ModelError, match=r"a segmentation is \(1, h, w\)"):
        task(np.zeros((1, 10), np.float32))
