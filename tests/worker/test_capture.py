from __future__ import annotations

from fixtures.agents.agent import wait_for
from fixtures.agents.fake_pipeline import Voice, pipeline
from fixtures.network.cameras import printing
from inferd.config import settings
from inferd.pipeline import PipelineQueue
from inferd.records import Wanted
from inferd.system.clock import SystemClock
from inferd.system.threads import Condition, Event, start
from inferd.worker.capture import FIRST_PAUSE_S, LONGEST_PAUSE_S, Capture, settle


def capture(queue: PipelineQueue, stop: Event) -> Voice:
    """Run a source thread until it ends by itself, or for a second."""
    status = Voice()
    thread = start("source cam", Capture(queue, SystemClock(), stop, status).run)
    thread.join(1)
    stop.set()
    thread.join(5)
    assert not thread.is_alive()
    return status


def lane_of(source: settings.Source, **pace: object) -> PipelineQueue:
    return PipelineQueue(pipeline(source=source, pace=settings.Pace(**pace)), Condition())  # type: ignore[arg-type]  # right keys


def test_a_finite_source_is_read_to_its_end_and_the_end_is_told() -> None:
    queue = lane_of(settings.SyntheticSource(width=8, height=8, frames=3), mode="fixed", fps=1000)
    status = capture(queue, Event())
    assert status.states == [("running", ""), ("ended", "the input is through")]
    assert queue.counters.drain().frames_in == 3


def test_a_source_that_fails_is_a_named_state_and_is_opened_again() -> None:
    queue = lane_of(settings.SyntheticSource(width=8, height=8, fail_after=2), mode="fixed", fps=1000)
    status = capture(queue, Event())
    assert [state for state, _ in status.states[:2]] == ["running", "waiting"]
    assert queue.counters.drain().source_restarts >= 1


def test_a_short_recording_in_a_loop_keeps_its_pace() -> None:
    queue = lane_of(settings.SyntheticSource(width=8, height=8, frames=1), mode="fixed", fps=20, at_end="loop")
    capture(queue, Event())  # for a second
    assert 2 <= queue.counters.drain().frames_in <= 40


def test_every_opening_of_a_source_has_its_number() -> None:
    queue = lane_of(settings.SyntheticSource(width=8, height=8, frames=1), mode="fast", at_end="loop")
    stop = Event()
    taken: list[tuple[int, int]] = []

    def take_all() -> None:
        while not stop.is_set():
            frame = queue.frames.take()
            taken.extend([(frame.opening, frame.seq)] if frame else [])

    reader = start("reader", take_all)
    capture(queue, stop)
    reader.join(5)
    assert taken[:3] == [(0, 0), (1, 0), (2, 0)]


def test_a_source_that_cannot_be_opened_is_not_tried_in_a_busy_loop() -> None:
    queue = lane_of(settings.VideoSource(path="/nowhere/clip.avi"))
    status = capture(queue, Event())
    assert "/nowhere/clip.avi" in status.states[0][1]
    assert 1 <= queue.counters.drain().source_restarts <= 4


class PauseTimes(Event):
    """An event that is set after a few waits, and keeps how long each was to be; none of them takes time."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.pauses_s: list[float] = []
        self._count = count

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses_s.append(timeout or 0.0)
        if len(self.pauses_s) >= self._count:
            self.set()
        return self.is_set()


def test_each_pause_before_a_source_is_opened_again_is_longer_up_to_a_bound() -> None:
    stop = PauseTimes(12)
    Capture(lane_of(settings.VideoSource(path="/nowhere/clip.avi")), SystemClock(), stop, Voice()).run()
    wanted = [min(FIRST_PAUSE_S * 2**number, LONGEST_PAUSE_S) for number in range(12)]
    assert wanted[-1] == LONGEST_PAUSE_S
    assert all(0.5 * most <= pause <= 1.5 * most for most, pause in zip(wanted, stop.pauses_s, strict=True))


def test_as_fast_as_the_model_takes_them_means_that_no_frame_is_dropped() -> None:
    queue = lane_of(settings.SyntheticSource(width=8, height=8, frames=50), mode="fast")
    stop = Event()
    taken = []

    def take_all() -> None:
        while not stop.is_set():
            frame = queue.frames.take()
            taken.extend([frame.seq] if frame else [])

    reader = start("reader", take_all)
    capture(queue, stop)
    reader.join(5)
    counts = queue.counters.drain()
    assert (counts.frames_in, counts.frames_dropped) == (50, {})
    assert taken == list(range(50))


def test_a_loop_goes_on_after_the_last_frame() -> None:
    queue = lane_of(settings.SyntheticSource(width=8, height=8, frames=2), mode="fixed", fps=1000, at_end="loop")
    status = capture(queue, Event())
    assert {state for state, _ in status.states} == {"running"}
    assert queue.counters.drain().frames_in > 10


def test_stopping_does_not_wait_for_the_next_frame() -> None:
    queue = lane_of(settings.SyntheticSource(width=8, height=8), mode="fixed", fps=0.01)
    capture(queue, Event())  # asserts that the thread ends


def test_a_source_that_leaves_its_size_to_the_model_waits_for_it_and_then_asks_for_that_size() -> None:
    queue = lane_of(settings.SyntheticSource(width=0, height=0, frames=3), mode="fixed", fps=1000)
    assert "waits for the model" in capture(queue, Event()).states[0][1]
    queue.wanted = Wanted(width=24, height=16)
    capture(queue, Event())
    frame = queue.frames.take()
    assert frame is not None
    assert getattr(frame.data, "shape", None) == (16, 24, 3)


def test_a_model_that_wants_another_size_has_its_source_opened_anew() -> None:
    queue = lane_of(settings.SyntheticSource(width=0, height=0), mode="fixed", fps=1000)
    queue.wanted = Wanted(width=24, height=16)
    stop, status = Event(), Voice()
    thread = start("source cam", Capture(queue, SystemClock(), stop, status).run)
    assert wait_for(queue.frames.peek)
    queue.wanted = Wanted(width=8, height=8)
    assert wait_for(lambda: (frame := queue.frames.take()) and getattr(frame.data, "shape", None) == (8, 8, 3))
    stop.set()
    thread.join(5)
    assert queue.counters.drain().source_restarts == 0


def test_what_the_options_say_is_not_the_models_to_change() -> None:
    options = settings.CommandSource(width=64, window=100)
    settled = settle(options, Wanted(width=8, height=9, rate_hz=10.0, window=11, hop=12))
    assert settled == settings.CommandSource(width=64, height=9, rate_hz=10.0, to_hz=10.0, window=100)


def test_a_window_that_fills_slowly_is_not_silence() -> None:
    command = printing("out(b'1\\n'); sleep(60)")
    queue = lane_of(settings.LinesSource(command=command, rate_hz=1, window=10))
    status = capture(queue, Event())
    assert "window fills" in status.states[0][1]
    assert queue.counters.drain().source_restarts == 0
