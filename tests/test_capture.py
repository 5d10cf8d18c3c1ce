from __future__ import annotations

from fixtures.turning import Voice, pipeline
from inferd.capture import Capture
from inferd.config import settings
from inferd.pipeline import Lane
from inferd.system.clock import SystemClock
from inferd.system.threads import Condition, Event, start


def capture(lane: Lane, stop: Event) -> Voice:
    """Run a source thread until it ends by itself, or for a second."""
    voice = Voice()
    thread = start("source cam", Capture(lane, SystemClock(), stop, voice).run)
    thread.join(1)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    return voice


def lane_of(source: settings.Source, **pace: object) -> Lane:
    return Lane(pipeline(source=source, pace=settings.Pace(**pace)), Condition())  # type: ignore[arg-type]  # right keys


def test_a_finite_source_is_read_to_its_end_and_the_end_is_told() -> None:
    lane = lane_of(settings.SyntheticSource(width=8, height=8, frames=3), mode="fixed", fps=1000)
    voice = capture(lane, Event())
    assert voice.states == [("running", ""), ("ended", "the input is through")]
    assert lane.counters.drain().frames_in == 3


def test_a_source_that_fails_is_a_named_state_and_is_opened_again() -> None:
    lane = lane_of(settings.SyntheticSource(width=8, height=8, fail_after=2), mode="fixed", fps=1000)
    voice = capture(lane, Event())
    assert [state for state, _ in voice.states[:2]] == ["running", "waiting"]
    assert lane.counters.drain().source_restarts >= 1


def test_a_source_that_cannot_be_opened_is_not_tried_in_a_busy_loop() -> None:
    lane = lane_of(settings.VideoSource(path="/nowhere/clip.avi"))
    voice = capture(lane, Event())
    assert "/nowhere/clip.avi" in voice.states[0][1]
    assert 1 <= lane.counters.drain().source_restarts <= 4


def test_as_fast_as_the_model_takes_them_means_that_no_frame_is_dropped() -> None:
    lane = lane_of(settings.SyntheticSource(width=8, height=8, frames=50), mode="fast")
    stop = Event()
    taken = []

    def take_all() -> None:
        while not stop.is_set():
            frame = lane.frames.take()
            taken.extend([frame.seq] if frame else [])

    reader = start("reader", take_all)
    capture(lane, stop)
    reader.join(5)
    counts = lane.counters.drain()
    assert (counts.frames_in, counts.frames_dropped) == (50, {})
    assert taken == list(range(50))


def test_a_loop_goes_on_after_the_last_frame() -> None:
    lane = lane_of(settings.SyntheticSource(width=8, height=8, frames=2), mode="fixed", fps=1000, at_end="loop")
    voice = capture(lane, Event())
    assert {state for state, _ in voice.states} == {"running"}
    assert lane.counters.drain().frames_in > 10


def test_stopping_does_not_wait_for_the_next_frame() -> None:
    lane = lane_of(settings.SyntheticSource(width=8, height=8), mode="fixed", fps=0.01)
    capture(lane, Event())  # asserts that the thread ends
