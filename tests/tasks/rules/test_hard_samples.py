from __future__ import annotations

from inferd.config.settings import Samples
from inferd.records import Box, Label, Result
from inferd.tasks.rules.drift import PAST, RECENT
from inferd.tasks.rules.hard_samples import HardSamples

S = 1_000_000_000
ON = Samples(keep_mb=1.0, margin=0.1, every_s=10.0)


def labels(*scores: float) -> Result:
    return Result(labels=tuple(Label(n, str(n), score) for n, score in enumerate(scores)))


def box(score: float) -> Result:
    return Result(boxes=(Box(0, "cat", score, (0.0, 0.0, 1.0, 1.0)),))


def pick(result: Result, *, agrees: bool | None = True, rules: Samples = ON) -> str:
    return HardSamples(rules).pick(result, agrees=agrees, now_ns=0)


def test_two_labels_that_are_nearly_equal_are_hard() -> None:
    assert pick(labels(0.45, 0.40)) == "low margin"
    assert pick(labels(0.80, 0.20)) == ""
    assert pick(labels(0.5)) == ""


def test_an_object_about_as_likely_as_not_is_hard() -> None:
    assert pick(box(0.55)) == "low margin"
    assert pick(box(0.9)) == ""


def test_a_result_that_contradicts_the_settled_answer_is_hard() -> None:
    assert pick(labels(0.9, 0.1), agrees=False) == "disagreement"
    assert pick(labels(0.9, 0.1), agrees=None) == ""


def test_there_is_at_most_one_in_a_while() -> None:
    rule = HardSamples(ON)
    assert [bool(rule.pick(box(0.5), agrees=True, now_ns=second * S)) for second in (0, 5, 10)] == [True, False, True]


def after_a_past(result: Result, times: int, rules: Samples = ON) -> str:
    """Return why a result is picked that comes for the last of so many times after many sure cats."""
    rule = HardSamples(rules)
    for past in [box(0.9)] * 300 + [result] * (times - 1):
        assert rule.pick(past, agrees=True, now_ns=0) in ("", "drift")
    return rule.pick(result, agrees=True, now_ns=1000 * S)


def test_answers_that_are_others_than_before_are_drift() -> None:
    assert after_a_past(labels(0.95), 40) == "drift"
    assert after_a_past(labels(0.95), 10) == ""
    assert after_a_past(box(0.9), 40) == ""


def test_the_same_answer_with_another_certainty_is_drift() -> None:
    assert after_a_past(box(0.7), 40) == "drift"


def test_after_a_while_the_new_is_the_old() -> None:
    assert after_a_past(labels(0.95), RECENT + PAST) == ""


def test_who_does_not_ask_for_drift_gets_none() -> None:
    assert after_a_past(labels(0.95), 40, Samples(keep_mb=1.0, drift=0.0)) == ""


def test_nothing_is_kept_unless_it_is_asked_for() -> None:
    assert pick(box(0.5), rules=Samples()) == ""
