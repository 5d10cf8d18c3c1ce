from __future__ import annotations

import pytest

from inferd.histogram import Histogram, HistogramData
from inferd.store.trial import Failed, Passed, Terms, Watched

SECOND = 1_000_000_000
NONE = HistogramData()


def watched(**terms: float) -> Watched:
    return Watched(Terms(**{"seconds": 60, "results": 300, "errors": 0.1, **terms}), 0)  # type: ignore[arg-type]  # right keys


def took(ms: float, times: int) -> HistogramData:
    histogram = Histogram()
    for _ in range(times):
        histogram.add(int(ms * 1e6))
    return histogram.drain()


def code(trial: Watched, after_s: float = 1.0) -> str:
    match trial.verdict(int(after_s * SECOND)):
        case Passed():
            return "passed"
        case Failed(code=word):
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


def test_a_slow_beginning_alone_is_no_broken_budget() -> None:
    trial = watched(p95_ms=10.0)
    trial.add(3, {}, took(100, 3))
    trial.add(297, {}, took(5, 297))
    assert code(trial) == "passed"
