from __future__ import annotations

import random

import pytest

from inferd.records import Box, Label, Result
from inferd.tasks.rules.drift import LEAST_PAST, PAST, RECENT, Shift, word_of


def label(name: str, score: float = 0.9) -> Result:
    return Result(labels=(Label(0, name, score),))


def distance(*answers: Result) -> float:
    shift = Shift()
    for answer in answers:
        shift.add(answer)
    return shift.distance()


def test_an_answer_in_a_word_is_its_best_label_or_object_and_how_sure_it_is() -> None:
    boxes = Result(boxes=(Box(0, "cat", 0.3, (0, 0, 1, 1)), Box(1, "dog", 1.0, (0, 0, 1, 1))))
    assert word_of(label("cat", 0.55)) == ("cat", 2)
    assert word_of(boxes) == ("dog", 4)
    assert word_of(Result(boxes=())) == ("", 0)
    assert word_of(Result(score=12.0)) == word_of(Result(score=9.0)) != word_of(Result(score=20.0))
    assert word_of(Result(embedding=(1.0,))) is None


def test_answers_that_stay_the_same_are_at_no_distance() -> None:
    assert distance(*[label("cat")] * 600) == 0.0


def test_answers_that_have_nothing_in_common_are_as_far_apart_as_can_be() -> None:
    assert distance(*[label("cat")] * 600, *[label("dog")] * RECENT) == pytest.approx(1.0)


def test_half_of_the_answers_changed_is_half_the_way() -> None:
    assert distance(*[label("cat")] * 600, *[label("cat"), label("dog")] * (RECENT // 2)) == pytest.approx(0.5)


def test_without_a_past_there_is_no_distance() -> None:
    assert distance(*[label("cat")] * (LEAST_PAST - 1), *[label("dog")] * RECENT) == 0.0


def test_answers_without_a_word_are_left_out() -> None:
    assert distance(*[Result(embedding=(1.0,))] * 1000) == 0.0


@pytest.mark.parametrize("words", [2, 10])
def test_chance_alone_stays_far_below_the_limit(words: int) -> None:
    draws = random.Random(7)  # noqa: S311 - a test's dice
    names = [str(number) for number in range(words)]
    assert max(distance(*[label(draws.choice(names)) for _ in range(PAST + RECENT)]) for _ in range(200)) < 0.35
