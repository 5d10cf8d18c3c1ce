from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.config.telemetry import Alert
from inferd.health.rules import AlertMemory, judge

HOT = Alert(name="hot", when="temperature_c", above=80.0, clear=75.0, for_s=10.0)


def seen(alert: Alert, values: list[float | None], step_s: float = 5.0) -> list[bool]:
    """Return whether the alert was raised after each look."""
    watched, told = AlertMemory(), []
    for n, value in enumerate(values):
        watched = judge(alert, watched, value, n * step_s)
        told.append(watched.raised)
    return told


def test_it_begins_when_it_has_been_so_for_long_enough() -> None:
    assert seen(HOT, [81, 82, 83, 84]) == [False, False, True, True]


def test_a_moment_on_the_good_side_begins_the_time_anew() -> None:
    assert seen(HOT, [81, 82, 79, 82, 83, 84]) == [False, False, False, False, False, True]


def test_between_its_two_limits_it_stays_as_it_is() -> None:
    assert seen(HOT, [81, 81, 81, 78, 76, 76, 76]) == [False, False, True, True, True, True, True]
    assert seen(HOT, [76, 78, 79, 80]) == [False] * 4


def test_it_is_over_when_it_has_been_clearly_back_for_as_long() -> None:
    assert seen(HOT, [81, 81, 81, 74, 74, 74, 81]) == [False, False, True, True, True, False, False]


def test_below_is_the_other_way_round_and_clears_a_tenth_above() -> None:
    slow = Alert(name="slow", when="fps", below=10.0, for_s=0.0)
    assert seen(slow, [12, 9, 10.5, 11.5, 9.9]) == [False, True, True, False, True]


def test_what_is_so_or_is_not_needs_no_limit() -> None:
    throttled = Alert(name="throttled", when="throttled", for_s=5.0)
    assert seen(throttled, [1, 1, 0, 0]) == [False, True, True, False]


def test_a_tenth_is_on_the_good_side_of_a_negative_limit_too() -> None:
    frost = Alert(name="frost", when="temperature_c", above=-10.0, for_s=0.0)
    assert seen(frost, [-9, -10.5, -11.5]) == [True, True, False]


def test_what_nobody_knows_neither_begins_nor_ends_anything() -> None:
    assert seen(HOT, [81, None, 81, None, 81]) == [False] * 5
    assert seen(HOT, [81, 81, 81, None, None, 74, None, 74, 74, 74]) == [False, False] + [True] * 7 + [False]


@given(st.lists(st.one_of(st.none(), st.floats(0, 120)), max_size=60), st.floats(0.1, 20))
def test_it_never_changes_twice_within_its_minimum_duration(values: list[float | None], step_s: float) -> None:
    told = seen(HOT, values, step_s)
    changes = [n * step_s for n, (before, now) in enumerate(pairwise([False, *told])) if before != now]
    assert all(later - earlier >= HOT.for_s - 1e-9 for earlier, later in pairwise(changes))


@pytest.mark.parametrize("wobble", [0.5, 4.0])
def test_a_value_that_wobbles_about_its_limit_raises_it_once(wobble: float) -> None:
    told = seen(HOT, [80 + wobble + 0.1, 80 + wobble + 0.1] + [80 + wobble * (-1) ** n for n in range(50)], 11.0)
    assert sum(before != now for before, now in pairwise(told)) <= 1
