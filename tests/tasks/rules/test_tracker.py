from __future__ import annotations

from collections.abc import Sequence

import pytest

from inferd.config.settings import TrackConfig
from inferd.records import Box
from inferd.tasks.rules.tracker import Tracker, iou, likeness

MS = 1_000_000
RULES = TrackConfig(enabled=True, confirm=2, lost_s=1.0, start_score=0.5)


def box(y: float, x: float, label: str = "person", score: float = 0.9, side: float = 0.2) -> Box:
    return Box(0, label, score, (y - side / 2, x - side / 2, y + side / 2, x + side / 2))


def ids(frames: Sequence[Sequence[Box]], rules: TrackConfig = RULES, every_ms: int = 100) -> list[list[int]]:
    tracker = Tracker(rules)
    return [tracker.follow(boxes, n * every_ms * MS) for n, boxes in enumerate(frames)]


def test_an_object_gets_its_number_once_it_was_seen_often_enough() -> None:
    assert ids([[box(0.5, 0.5)]] * 3) == [[0], [1], [1]]


def test_a_moving_object_keeps_its_number() -> None:
    assert {found[0] for found in ids([[box(0.5, 0.1 + 0.05 * n)] for n in range(15)])[1:]} == {1}


def test_two_objects_that_pass_each_other_keep_theirs() -> None:
    frames = [[box(0.45, 0.1 + 0.05 * n), box(0.55, 0.9 - 0.05 * n)] for n in range(16)]
    assert ids(frames)[-1] == [1, 2]


def test_an_object_that_hides_for_a_moment_is_the_same_and_found_where_it_must_be_by_then() -> None:
    frames = [[box(0.5, 0.1 + 0.05 * n)] if not 5 <= n < 9 else [] for n in range(15)]
    assert ids(frames)[-1] == [1]


def test_an_object_that_was_gone_for_longer_is_another_one() -> None:
    frames = [[box(0.5, 0.5)]] * 3 + [[]] * 12 + [[box(0.5, 0.5)]] * 3
    assert ids(frames)[-1] == [2]


def test_a_false_alarm_takes_no_number() -> None:
    frames = [[box(0.2, 0.2), box(0.8, 0.8)], [box(0.2, 0.2)], [box(0.2, 0.2)]]
    assert ids([*frames, *([[]] * 12), [box(0.8, 0.8)], [box(0.8, 0.8)]])[-1] == [2]


def test_an_unsure_box_continues_a_track_but_begins_none() -> None:
    assert ids([[box(0.5, 0.5, score=0.3)]] * 3) == [[0]] * 3
    assert ids([[box(0.5, 0.5)], [box(0.5, 0.5)], [box(0.5, 0.5, score=0.3)]])[-1] == [1]


def test_another_label_is_another_object() -> None:
    assert ids([[box(0.5, 0.5)]] * 2 + [[box(0.5, 0.5, "dog")]] * 2)[-1] == [2]


def test_a_small_fast_object_is_found_by_nearness() -> None:
    assert ids([[box(0.5, 0.1 + 0.03 * n, side=0.04)] for n in range(10)])[-1] == [1]


def test_two_boxes_never_share_a_track() -> None:
    frames = [[box(0.5, 0.5)]] * 2 + [[box(0.5, 0.5), box(0.5, 0.52)]] * 2
    assert sorted(ids(frames)[-1]) == [1, 2]


def test_boxes_beyond_the_bound_are_not_followed() -> None:
    crowd = [box(0.001 * n, 0.9 * (n % 2), side=0.0001) for n in range(300)]
    found = ids([crowd, crowd])[-1]
    assert sum(one > 0 for one in found) == 200


@pytest.mark.parametrize(("x", "expected"), [(0.5, 2.0), (2.0, 0.0)])
def test_likeness_is_highest_for_the_same_place_and_nothing_far_away(x: float, expected: float) -> None:
    assert likeness(box(0.5, 0.5).box, box(0.5, x).box, 0.3) == pytest.approx(expected)


def test_the_overlap_of_two_halves() -> None:
    assert iou((0.0, 0.0, 1.0, 2.0), (0.0, 1.0, 1.0, 3.0)) == pytest.approx(1 / 3)


@pytest.mark.parametrize("other", [(0.0, 0.5, 0.4, 0.9), (0.5, 0.0, 0.9, 0.4), (0.5, 0.5, 0.9, 0.9)])
def test_boxes_apart_in_one_direction_or_both_have_nothing_in_common(other: tuple[float, float, float, float]) -> None:
    assert iou((0.0, 0.0, 0.4, 0.4), other) == 0
    assert iou(other, (0.0, 0.0, 0.4, 0.4)) == 0
