from __future__ import annotations

import pytest

from inferd.health.collapse import AnswerDigest, all_one, compare, digest_of, suspicious
from inferd.records import Box, Label, OutputTensor, Result, Value

DIGITS = tuple(AnswerDigest(str(digit), 0.95) for digit in (1, 1, 2, 2, 3, 3, 4, 4))
ONE = tuple(AnswerDigest("1", 0.95) for _ in DIGITS)
STILL = tuple(AnswerDigest(numbers=(0.5, 0.25)) for _ in DIGITS)
MOVING = tuple(AnswerDigest(numbers=(0.5, 0.1 * step)) for step in range(len(DIGITS)))
FLAT = tuple(AnswerDigest(str(step % 3), 0.101 + 0.001 * step) for step in range(len(DIGITS)))
NOTHING = tuple(AnswerDigest() for _ in DIGITS)
PEOPLE = tuple(AnswerDigest("person" if step % 2 else "", 0.9 * (step % 2)) for step in range(len(DIGITS)))
UNSURE = tuple(AnswerDigest(one.what, 0.5) for one in DIGITS)


@pytest.mark.parametrize("answers", [ONE, FLAT, STILL, NOTHING])
def test_one_label_flat_scores_and_numbers_that_stand_still_are_suspicious(answers: tuple[AnswerDigest, ...]) -> None:
    assert suspicious(answers, ())


@pytest.mark.parametrize("answers", [DIGITS, MOVING, PEOPLE, ONE[:5]])
def test_answers_that_differ_and_too_few_answers_are_not(answers: tuple[AnswerDigest, ...]) -> None:
    assert not suspicious(answers, ())


def test_other_things_than_the_model_before_used_to_say_are_suspicious() -> None:
    other = tuple(AnswerDigest(one.what + "0", one.score) for one in DIGITS)
    assert suspicious(other, DIGITS)
    assert not suspicious(DIGITS, DIGITS)


@pytest.mark.parametrize(("now", "before"), [(ONE, DIGITS), (FLAT, DIGITS), (NOTHING, DIGITS), (STILL, MOVING)])
def test_a_model_has_collapsed_where_the_one_before_tells_the_same_frames_apart(
    now: tuple[AnswerDigest, ...], before: tuple[AnswerDigest, ...]
) -> None:
    assert compare(now, before)[0] == "collapsed"


@pytest.mark.parametrize(("now", "before"), [(ONE, ONE), (STILL, STILL), (NOTHING, NOTHING), (FLAT, FLAT)])
def test_where_both_answer_alike_it_is_the_world(
    now: tuple[AnswerDigest, ...], before: tuple[AnswerDigest, ...]
) -> None:
    assert compare(now, before) == ("alike", "")


@pytest.mark.parametrize("before", [UNSURE, PEOPLE, (*ONE[:6], *DIGITS[6:])])
def test_what_the_model_before_is_unsure_of_or_sees_now_and_then_condemns_nobody(
    before: tuple[AnswerDigest, ...],
) -> None:
    assert compare(NOTHING, before)[0] == "differs"


def test_another_mix_of_answers_is_told_with_both_mixes() -> None:
    found, why = compare(PEOPLE, DIGITS)
    assert (found, "person 4 times" in why, "1 2 times" in why) == ("differs", True, True)


def test_a_constant_zero_has_not_moved() -> None:
    assert all_one(tuple(AnswerDigest(numbers=(0.0,)) for _ in range(9)))


def test_an_answer_in_short_is_its_labels_or_its_numbers() -> None:
    box = Box(1, "cat", 0.75, (0, 0, 1, 1))
    assert digest_of(Result(labels=(Label(1, "cat", 0.5),))) == AnswerDigest("cat", 0.5)
    assert digest_of(Result(boxes=(box, box))) == AnswerDigest("cat", 0.75)
    assert digest_of(Result(boxes=())) == AnswerDigest()
    assert digest_of(Result(score=0.5)) == AnswerDigest(numbers=(0.5,))
    assert digest_of(Result(values=(Value("t", 2.0, ""),))) == AnswerDigest(numbers=(2.0,))
    raw = OutputTensor("o", (1, 2, 2), "float32", [[[1.0, 2.0], [3.0, 4.0]]])
    assert digest_of(Result(outputs=(raw,))) == AnswerDigest(numbers=(1.0, 2.0, 3.0, 4.0))
