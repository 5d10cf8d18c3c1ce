from __future__ import annotations

import time
from dataclasses import replace
from itertools import count
from typing import NoReturn

import pytest

from fixtures.agents.fake_pipeline import fake, frame, pipeline, steps
from fixtures.agents.interleaving import interrupted
from inferd.errors import EngineError, ModelError, SourceError
from inferd.pipeline import Counters, ObservedFrame, PipelineQueue, tick
from inferd.records import Frame, ModelRef, StageTimes
from inferd.system.threads import Condition, Event, join_all, start

LOOK_S = 3.0


def test_a_frame_becomes_a_result() -> None:
    turn = tick(frame(), steps(fake(scores=(0.2, 0.8))), time.monotonic_ns)
    assert turn.result.labels is not None
    assert turn.result.labels[0].label == "class 1"
    assert turn.result.labels[0].score == pytest.approx(0.8)


def test_each_stage_is_timed_apart_and_the_total_is_their_sum() -> None:
    ticking = count(1_000)
    times = tick(frame(), steps(), lambda: next(ticking)).times
    assert (times.preprocess, times.invoke, times.decode, times.total) == (1, 1, 1, 3)


def test_an_engine_that_refuses_is_the_engines_error() -> None:
    with pytest.raises(EngineError):
        tick(frame(), steps(fake(fail_at=1)), time.monotonic_ns)


def explode(frame: Frame, inputs: object) -> NoReturn:
    raise ZeroDivisionError(frame.seq, inputs)


def test_what_a_library_raises_over_a_frame_costs_this_frame_only() -> None:
    with pytest.raises(SourceError, match=r"cannot be preprocessed \(ZeroDivisionError\)"):
        tick(frame(), replace(steps(), preprocess=explode), time.monotonic_ns)
    with pytest.raises(ModelError, match=r"outputs cannot be decoded \(ZeroDivisionError\)"):
        tick(frame(), replace(steps(), task=ExplodingTask()), time.monotonic_ns)


class ExplodingTask:
    """A task that meets an output which it did not foresee."""

    def decode(self, outputs: object, geometry: object) -> NoReturn:
        raise ZeroDivisionError(outputs, geometry)


def test_a_frame_that_nobody_took_is_dropped_and_counted() -> None:
    queue = PipelineQueue(pipeline(), Condition())
    queue.put(frame())
    queue.put(frame())
    counts = queue.counters.drain()
    assert (counts.frames_in, counts.frames_dropped) == (2, {"superseded": 1})


def test_draining_counts_each_thing_once() -> None:
    queue = PipelineQueue(pipeline(), Condition())
    queue.counters.inferred(StageTimes(1, 2, 3, 4, 9, 10), reported=True)
    queue.counters.inferred(StageTimes(1, 2, 3, 4, 9, 10), reported=False)
    first, second = queue.counters.drain(), queue.counters.drain()
    assert (first.frames_inferred, first.results_reported, first.results_suppressed) == (2, 1, 1)
    assert (second.frames_inferred, second.latency["total"].count) == (0, 0)


def test_a_lane_is_silent_when_its_source_is_stuck_in_a_read() -> None:
    queue = PipelineQueue(pipeline(), Condition())
    assert not queue.silent(100_000_000_000)
    queue.reading_since_ns = 100_000_000_000
    assert not queue.silent(104_000_000_000)
    assert queue.silent(106_000_000_000)


def test_all_who_look_at_once_see_a_frame() -> None:
    queue, made, shown = PipelineQueue(pipeline(), Condition()), steps(), frame()
    saw: list[ObservedFrame | None] = []
    viewers = [start("looker", lambda: saw.append(queue.wait_observed(LOOK_S))) for _ in range(4)]
    pause = Event()
    pause.wait(0.2)  # so that most of them look before the first is shown
    while join_all(viewers, 0.0):
        queue.publish_observed(shown, tick(shown, made, time.monotonic_ns), ModelRef("fake", "1", "0" * 64), made.task)
        pause.wait(0.02)
    assert len(saw) == 4
    assert None not in saw


def test_a_frame_that_is_counted_while_the_counters_are_drained_is_counted_once() -> None:
    counters = Counters()
    first = interrupted(counters.drain, "frames_inferred=self._inferred", counters.frame_in)
    assert first.frames_in + counters.drain().frames_in == 1
