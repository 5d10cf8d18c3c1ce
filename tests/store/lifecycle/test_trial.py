from __future__ import annotations

import pytest

from inferd.histogram import Histogram, HistogramData
from inferd.ipc import ShadowReplayDone, TurnTimes
from inferd.store.lifecycle.trial import TrialCounts, TrialFailed, TrialPassed, TrialTerms, UsualTurnTime

SECOND = 1_000_000_000
NONE = HistogramData()


def watched(**terms: float) -> TrialCounts:
    return TrialCounts(TrialTerms(**{"seconds": 60, "results": 300, "errors": 0.1, **terms}), 0)  # type: ignore[arg-type]  # right keys


def took(ms: float, times: int) -> HistogramData:
    histogram = Histogram()
    for _ in range(times):
        histogram.add(int(ms * 1e6))
    return histogram.drain()


def code(trial: TrialCounts, after_s: float = 1.0) -> str:
    match trial.verdict(int(after_s * SECOND)):
        case TrialPassed():
            return "passed"
        case TrialFailed(code=word):
            return word
        case _:
            return "goes on"


def test_a_trial_goes_on_until_it_has_its_results_or_its_time_is_over() -> None:
    trial = watched()
    trial.add(10, {}, NONE)
    assert [code(trial, 1), code(trial, 60)] == ["goes on", "passed"]


def test_enough_results_end_a_trial_early() -> None:
    trial = watched()
    trial.add(300, {}, NONE)
    assert code(trial) == "passed"


def test_one_output_that_is_no_number_is_enough() -> None:
    trial = watched()
    trial.add(100, {"nonfinite_output": 1}, NONE)
    assert code(trial) == "nonfinite_output"


def test_a_few_failed_frames_are_forgiven_and_many_are_not() -> None:
    few, many = watched(), watched()
    few.add(100, {"engine_error": 5}, NONE)
    many.add(100, {"engine_error": 50}, NONE)
    assert [code(few), code(many)] == ["goes on", "errors"]


@pytest.mark.parametrize("cause", ["superseded", "stale", "unreadable", "preprocess_error"])
def test_frames_that_the_world_lost_are_not_the_models_fault(cause: str) -> None:
    trial = watched()
    trial.add(1, {cause: 1000}, NONE)
    assert code(trial) == "goes on"


def test_a_camera_that_gives_nothing_fails_no_model_and_does_not_hold_it_for_ever() -> None:
    trial = watched()
    assert [code(trial, 60), code(trial, 600)] == ["goes on", "passed"]


@pytest.mark.parametrize(("ms", "told"), [(5.0, "goes on"), (30.0, "slow")])
def test_a_budget_is_judged_once_there_are_enough_frames(ms: float, told: str) -> None:
    trial = watched(p95_ms=10.0)
    trial.add(25, {}, took(ms, 25))
    assert code(trial) == told


def test_without_a_budget_nothing_is_too_slow() -> None:
    trial = watched()
    trial.add(25, {}, took(500, 25))
    assert code(trial) == "goes on"


def test_a_few_slow_turns_are_not_what_a_model_computes() -> None:
    trial = watched(p95_ms=10.0)
    trial.add(90, {}, took(4, 90))
    trial.add(10, {}, took(100, 10))
    assert code(trial) == "goes on"


def test_a_slow_beginning_alone_is_no_broken_budget() -> None:
    trial = watched(p95_ms=10.0)
    trial.add(3, {}, took(100, 3))
    trial.add(297, {}, took(5, 297))
    assert code(trial) == "passed"


def told(
    found: str = "fine",
    now: TurnTimes | None = None,
    before: TurnTimes | None = None,
    why: str = "it says 1 of all frames",
) -> ShadowReplayDone:
    return ShadowReplayDone("cam", "1" * 64, found, why if found != "fine" else "", now, before)  # type: ignore[arg-type]  # right words


def test_a_collapsed_model_fails_at_the_end_of_its_trial() -> None:
    trial = watched()
    trial.add(300, {}, NONE)
    assert trial.settle(SECOND, told("collapsed"), None) == TrialFailed("collapsed", "it says 1 of all frames")


@pytest.mark.parametrize("found", ["differs", "unknown"])
def test_what_cannot_be_settled_is_told_and_the_model_stays(found: str) -> None:
    trial = watched()
    trial.add(300, {}, NONE)
    assert trial.settle(SECOND, told(found), None) == TrialPassed("", "it says 1 of all frames")


NORMAL = TurnTimes(3.0, 4.0)


def slow() -> TrialCounts:
    trial = watched(p95_ms=10.0)
    trial.add(300, {}, took(30, 300))
    return trial


@pytest.mark.parametrize(
    ("now", "before", "usual"),
    [
        (TurnTimes(30.0, 40.0), TurnTimes(3.0, 4.0), NORMAL),  # it alone is slow
        (TurnTimes(30.0, 40.0), TurnTimes(6.0, 8.0), NORMAL),  # the device is slow, but not so slow
        (TurnTimes(30.0, 40.0), TurnTimes(6.0, 8.0), None),
        (TurnTimes(30.0, 40.0), None, NORMAL),  # nothing to compare with
        (TurnTimes(3.0, 40.0), TurnTimes(3.0, 4.0), NORMAL),  # it is slow now and then
        (TurnTimes(30.0, 8.0), TurnTimes(3.0, 4.0), NORMAL),  # it is slow half of the time
    ],
)
def test_a_budget_that_the_model_alone_breaks_is_held_against_it(
    now: TurnTimes, before: TurnTimes | None, usual: TurnTimes | None
) -> None:
    ended = slow().settle(SECOND, told(now=now, before=before), usual)
    assert isinstance(ended, TrialFailed)
    assert ended.code == "slow"


@pytest.mark.parametrize(
    ("now", "before", "usual"),
    [
        (TurnTimes(24.0, 32.0), TurnTimes(12.0, 16.0), NORMAL),  # all takes four times as long
        (TurnTimes(13.0, 18.0), TurnTimes(12.0, 16.0), TurnTimes(12.0, 16.0)),  # the model before breaks it as well
        (TurnTimes(5.0, 6.0), TurnTimes(3.0, 4.0), NORMAL),  # it is over
    ],
)
def test_a_budget_that_the_device_breaks_is_not_held_against_the_model(
    now: TurnTimes, before: TurnTimes, usual: TurnTimes
) -> None:
    trial = slow()
    assert trial.settle(SECOND, told(now=now, before=before), usual) is None
    ended = trial.verdict(SECOND)
    assert isinstance(ended, TrialPassed)
    assert "not held against it" in ended.why


def test_what_turns_usually_take_is_that_of_the_last_few_hundred() -> None:
    assert UsualTurnTime().took is None
    usual = UsualTurnTime()
    usual.add(took(5, 250))
    usual.add(took(50, 100))
    known = usual.took
    assert known is not None
    assert known.p95_ms == pytest.approx(5, rel=0.01)
