from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fixtures.agents.fake_pipeline import Turning, fake, frame, pipeline, serving
from inferd.config import settings
from inferd.pipeline import PipelineQueue
from inferd.preprocess.change import ChangeGate
from inferd.preprocess.quality import Quality
from inferd.records import Frame
from inferd.wire.manifest import QualitySection


def test_without_an_engine_a_frame_waits() -> None:
    turning = Turning()
    turning.queues["cam"].put(frame())
    turning.turn()
    assert turning.heard.reports == []
    assert turning.queues["cam"].frames.peek() is not None


def test_a_waiting_frame_is_inferred_once_an_engine_is_offered() -> None:
    turning = Turning()
    turning.queues["cam"].put(frame())
    turning.loop.offer(serving())
    turning.turn()
    assert [(name, version) for name, version, _ in turning.heard.reports] == [("cam", "1")]


def test_a_swap_takes_effect_on_the_next_tick_and_loses_no_frame() -> None:
    turning = Turning()
    turning.loop.offer(serving("1"))
    for version in ("1", "2"):
        turning.queues["cam"].put(frame())
        turning.loop.offer(serving(version))
        turning.turn()
    assert [version for _, version, _ in turning.heard.reports] == ["1", "2"]
    assert turning.queues["cam"].counters.drain().frames_dropped == {}


def test_the_old_engine_is_handed_back_to_be_closed() -> None:
    turning = Turning()
    for version in ("1", "2"):
        turning.loop.offer(serving(version))
        turning.turn()
    assert [old.ref.version for old in turning.heard.retired] == ["1"]


def test_an_offer_that_was_never_taken_is_returned_to_whoever_offers_the_next() -> None:
    turning = Turning()
    turning.loop.offer(serving("1"))
    (replaced,) = turning.loop.offer(serving("2"))
    assert replaced.ref.version == "1"


def test_pipelines_that_share_an_engine_take_turns_the_oldest_frame_first() -> None:
    turning = Turning("a", "b")
    turning.loop.offer(serving(names=("a", "b")))
    for name in ("b", "a"):
        turning.queues[name].put(frame())
    turning.turn(2)
    assert [name for name, _, _ in turning.heard.reports] == ["b", "a"]


def test_a_frame_that_the_engine_refuses_is_counted_and_the_next_one_is_inferred() -> None:
    turning = Turning()
    turning.loop.offer(serving(engine=fake(fail_at=1)))
    for _ in range(2):
        turning.queues["cam"].put(frame())
        turning.turn()
    assert turning.heard.faults == [("cam", "engine_error")]
    assert len(turning.heard.reports) == 1
    assert turning.queues["cam"].counters.drain().frames_dropped == {"engine_error": 1}


def test_an_unchanged_frame_is_counted_and_not_inferred_unless_somebody_waits_for_its_result() -> None:
    turning = Turning()
    loaded = serving()
    gate = ChangeGate(settings.ChangeConfig(enabled=True, max_interval_s=3600.0))
    steps = {"cam": replace(loaded.steps["cam"], change=gate)}
    turning.loop.offer(replace(loaded, steps=steps))
    still, answers = frame(), list[object]()
    for one in (still, still, replace(still, answer=answers.append)):
        turning.queues["cam"].put(one)
        turning.turn()
    assert len(turning.heard.reports) == 2
    assert len(answers) == 1
    assert turning.queues["cam"].counters.drain().frames_dropped == {"unchanged": 1}


def test_an_engine_that_makes_room_is_handed_back_and_frames_wait_for_the_next() -> None:
    turning = Turning()
    turning.loop.offer(serving("1"))
    turning.turn()
    turning.loop.release_engine(0.0)
    turning.turn()
    assert ([old.ref.version for old in turning.heard.retired], turning.loop.serves) == (["1"], False)
    turning.queues["cam"].put(frame())
    turning.loop.offer(serving("2"))
    turning.turn()
    assert [version for _, version, _ in turning.heard.reports] == ["2"]


def test_a_loop_without_an_engine_has_made_room_already() -> None:
    turning = Turning()
    turning.loop.release_engine(0.0)
    turning.turn()
    assert turning.heard.retired == []
    assert turning.loop.release_engine(0.0) is False


def test_a_lane_that_comes_later_waits_for_the_next_offer_and_its_siblings_go_on() -> None:
    turning = Turning("a")
    turning.loop.offer(serving(names=("a",), queues=turning.queues))
    turning.turn()
    both = {**turning.queues, "b": PipelineQueue(pipeline("b"), turning.changed)}
    turning.loop.set_queues(both)
    for name in ("b", "a"):
        both[name].put(frame())
    turning.turn(2)
    assert [name for name, _, _ in turning.heard.reports] == ["a"]
    turning.loop.offer(serving("2", names=("a", "b"), queues=both))
    turning.turn()
    assert [name for name, _, _ in turning.heard.reports] == ["a", "b"]


def test_a_lane_of_the_same_name_with_other_settings_is_another_one() -> None:
    turning = Turning("a")
    turning.loop.offer(serving(names=("a",), queues=turning.queues))
    turning.turn()
    other = {"a": PipelineQueue(pipeline("a"), turning.changed)}
    turning.loop.set_queues(other)
    other["a"].put(frame())
    turning.turn(2)
    assert turning.heard.reports == []


def test_a_lane_that_left_is_turned_no_more() -> None:
    turning = Turning("a", "b")
    turning.loop.offer(serving(names=("a", "b"), queues=turning.queues))
    turning.queues["b"].put(frame())
    turning.loop.set_queues({"a": turning.queues["a"]})
    turning.turn(2)
    assert turning.heard.reports == []


@pytest.mark.parametrize("shape", [(0, 0, 3), (1, 0), (0, 5, 3)])
def test_a_picture_of_an_odd_shape_costs_its_frame_only(shape: tuple[int, ...]) -> None:
    turning = Turning()
    loaded = serving()
    gate = ChangeGate(settings.ChangeConfig(enabled=True, max_interval_s=3600.0))
    strict = Quality(QualitySection(dark=0.0, bright=1.0, sharp=0.0, frozen_s=3600.0))
    steps = {"cam": replace(loaded.steps["cam"], change=gate, quality=strict)}
    turning.loop.offer(replace(loaded, steps=steps))
    for data in (np.zeros(shape, np.uint8), np.zeros((48, 64, 3), np.uint8)):
        turning.queues["cam"].put(Frame(data, 0, 0, 0.0))
        turning.turn()
    counts = turning.queues["cam"].counters.drain()
    assert (counts.frames_inferred, counts.frames_dropped) == (1, {"preprocess_error": 1})
    turning.stop()
