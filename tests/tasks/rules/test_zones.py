from __future__ import annotations

from collections.abc import Sequence

from inferd.config import settings
from inferd.records import Box, LineCount, Result, ZoneCount
from inferd.tasks.rules.tracker import Track
from inferd.tasks.rules.tracks_zones_lines import TrackingRules
from inferd.tasks.rules.zones import LineCounter, ZoneCounter, inside

S = 1_000_000_000
OFF = settings.TrackConfig()
SQUARE = ((0.25, 0.25), (0.25, 0.75), (0.75, 0.75), (0.75, 0.25))
LEFT_HALF = settings.ZoneConfig(name="left", points=((0.0, 0.0), (0.0, 0.5), (1.0, 0.5), (1.0, 0.0)))
UPWARDS = settings.LineConfig(
    name="gate", start=(1.0, 0.5), end=(0.0, 0.5)
)  # its right-hand side is that of the picture


def track(number: int, x: float, y: float = 0.5, label: str = "person") -> Track:
    return Track(number, label, (y - 0.2, x - 0.1, y, x + 0.1), 0)


def crossed(rules: settings.LineConfig, places: Sequence[tuple[float, float]]) -> LineCount:
    line = LineCounter(rules)
    counts = [line.update([track(1, x, y)], 0) for y, x in places]
    return counts[-1]


def test_a_point_is_in_a_polygon_or_not() -> None:
    assert inside((0.5, 0.5), SQUARE)
    assert not inside((0.5, 0.8), SQUARE)


def test_a_point_as_high_as_a_corner_is_in_a_polygon_or_not() -> None:
    diamond = ((0.0, 0.5), (0.5, 1.0), (1.0, 0.5), (0.5, 0.0))
    assert inside((0.5, 0.5), diamond)
    assert not inside((0.5, -0.1), diamond)
    assert not inside((0.5, 1.1), diamond)
    assert not inside((0.0, 0.2), diamond)


def test_a_notch_in_a_polygon_is_outside() -> None:
    notched = ((0.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.2, 0.5), (1.0, 0.0))
    assert not inside((0.9, 0.5), notched)
    assert inside((0.1, 0.5), notched)


def test_a_zone_counts_who_is_there_came_and_left_and_how_long_the_first_has_been_there() -> None:
    zone = ZoneCounter(LEFT_HALF)
    zone.update([track(1, 0.2), track(2, 0.8)], 0)
    zone.update([track(1, 0.2), track(2, 0.3, label="dog")], 2 * S)
    assert zone.update([track(2, 0.3, label="dog")], 5 * S) == ZoneCount(1, {"dog": 1}, 2, 1, 3.0)


def test_a_zone_counts_only_its_labels() -> None:
    zone = ZoneCounter(settings.ZoneConfig(name="dogs", points=SQUARE, labels=("dog",)))
    assert zone.update([track(1, 0.5), track(2, 0.5, label="dog")], 0).count == 1


def test_feet_decide_unless_the_middle_is_asked_for() -> None:
    above = settings.ZoneConfig(name="above", points=((0.0, 0.0), (0.0, 1.0), (0.45, 1.0), (0.45, 0.0)))
    assert ZoneCounter(above).update([track(1, 0.5)], 0).count == 0
    middle = settings.ZoneConfig(name="above", points=above.points, anchor="middle")
    assert ZoneCounter(middle).update([track(1, 0.5)], 0).count == 1


def test_a_line_is_crossed_in_to_its_right_and_out_to_its_left() -> None:
    assert crossed(UPWARDS, [(0.5, 0.4), (0.5, 0.6)]) == LineCount(1, 0)
    assert crossed(UPWARDS, [(0.5, 0.4), (0.5, 0.6), (0.5, 0.3)]) == LineCount(1, 1)


def test_trembling_on_a_line_is_no_crossing() -> None:
    assert crossed(UPWARDS, [(0.5, 0.49), *((0.5, 0.498 + 0.004 * (n % 2)) for n in range(20))]) == LineCount(0, 0)


def test_passing_beside_a_line_is_no_crossing() -> None:
    short = settings.LineConfig(name="gate", start=(1.0, 0.5), end=(0.8, 0.5))
    assert crossed(short, [(0.5, 0.4), (0.5, 0.6)]) == LineCount(0, 0)


def test_whoever_appears_beyond_a_line_has_not_crossed_it() -> None:
    assert crossed(UPWARDS, [(0.5, 0.6)]) == LineCount(0, 0)


def walk(follower: TrackingRules, steps: int) -> list[Result]:
    results = []
    for n in range(steps):
        y0, x0 = 0.3, 0.1 + 0.05 * n
        result = Result(boxes=(Box(0, "person", 0.9, (y0, x0, y0 + 0.3, x0 + 0.1)),))
        results.append(follower.follow(result, n * S // 10))
    return results


def test_without_rules_a_result_is_left_as_it_is() -> None:
    result = Result(boxes=())
    assert TrackingRules(OFF).follow(result, 0) is result


def test_results_without_boxes_are_left_as_they_are() -> None:
    result = Result(score=1.0)
    assert TrackingRules(OFF, (LEFT_HALF,)).follow(result, 0) is result


def test_a_walker_is_followed_through_a_zone_and_over_a_line() -> None:
    results = walk(TrackingRules(OFF, (LEFT_HALF,), (UPWARDS,)), 15)
    assert [result.boxes[0].track for result in results if result.boxes] == [None, None, *([1] * 13)]
    last = results[-1]
    assert last.zones is not None
    assert (last.zones["left"].entered, last.zones["left"].left) == (1, 1)
    assert last.lines == {"gate": LineCount(1, 0)}


def test_tracking_alone_gives_numbers_and_no_counts() -> None:
    last = walk(TrackingRules(settings.TrackConfig(enabled=True)), 5)[-1]
    assert last.boxes is not None
    assert last.boxes[0].track == 1
    assert (last.zones, last.lines) == (None, None)


def test_a_recording_that_begins_again_moves_time_on() -> None:
    follower = TrackingRules(OFF, (LEFT_HALF,))
    result = Result(boxes=(Box(0, "person", 0.9, (0.3, 0.1, 0.6, 0.2)),))
    told = [follower.follow(result, second * S // 2).zones for second in (0, 1, 2, 0, 1)]
    assert told[-1] is not None
    assert told[-1]["left"].longest_s == 0.5


def test_time_in_a_zone_goes_on_by_as_much_as_it_does_in_a_recording_that_begins_again() -> None:
    follower = TrackingRules(OFF, (LEFT_HALF,))
    result = Result(boxes=(Box(0, "person", 0.9, (0.3, 0.1, 0.6, 0.2)),))
    seen = [follower.follow(result, int(seconds * S)) for seconds in (10.0, 10.2, 10.4, 5.0, 5.2, 5.4)]
    assert seen[-1].zones is not None
    assert 0.3 < seen[-1].zones["left"].longest_s < 1.0
