"""How a result waits for what others see in its objects, while the loop goes on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from functools import partial

import pytest

from fixtures.agents.agent import wait_for
from fixtures.agents.fake_pipeline import Turning, frame, serving
from inferd.config.settings import CropsSource, SyntheticSource
from inferd.errors import EndOfInput, FrameUnfinished
from inferd.pipeline import Counters, ObservedFrame, PipelineQueue
from inferd.records import Array, Box, Frame, Geometry, Label, Result
from inferd.sources.crops import MOST_WAITING, Crops
from inferd.sources.synthetic import Synthetic
from inferd.system.clock import CountingClock, SystemClock
from inferd.system.threads import Latest, start
from inferd.worker.cascade import MOST_HELD, CascadeExchange

HELMET = Result(labels=(Label(1, "helmet", 0.9), Label(0, "none", 0.1)))
HOUR_S = 3600.0


def person(x0: float = 0.1, track: int | None = None) -> Box:
    return Box(0, "person", 0.8, (0.1, x0, 0.9, x0 + 0.3), track)


class Finder:
    """A task that finds what a test puts before it."""

    def __init__(self) -> None:
        self.boxes: tuple[Box, ...] = (person(),)

    def decode(self, _outputs: Sequence[Array], _geometry: Geometry) -> Result:
        return Result(boxes=self.boxes)


class Street:
    """A pipeline that finds people, and one that looks closer, by hand."""

    def __init__(self, join_s: float = HOUR_S, **options: object) -> None:
        options = {"of": "cam", "join_s": join_s, **options}
        self.crops = Crops(CropsSource(**options), SystemClock())  # type: ignore[arg-type]  # tests name right keys
        exchange = CascadeExchange()
        exchange.join(self.crops, "helmets", Counters())
        self.turning = Turning(exchange=exchange)
        self.finder = Finder()
        plain = serving()
        steps = {"cam": dataclasses.replace(plain.steps["cam"], task=self.finder)}
        self.turning.loop.offer(dataclasses.replace(plain, steps=steps))

    def find(self, *boxes: Box) -> None:
        """Have the first pipeline find these in a frame."""
        self.finder.boxes = boxes
        self.turning.queues["cam"].put(frame())
        self.turning.turn()

    def crop(self) -> Frame:
        """Return the next object that waits for the second pipeline."""
        return self.crops.read(0)

    def see(self, result: Result | None = HELMET) -> None:
        """Have the second pipeline answer for the next object."""
        answer = self.crop().answer
        assert answer is not None
        answer(result)

    @property
    def told(self) -> list[list[str]]:
        """What left: for each result, what is said of each of its objects."""
        self.turning.turn()
        results = [turn.result for _, _, turn in self.turning.heard.reports]
        return [
            [label.label for box in result.boxes or () for label in (box.closer or {"": Label(0, "-", 0.0)}).values()]
            for result in results
        ]


def test_a_result_says_of_each_object_what_the_other_pipeline_sees_in_it() -> None:
    street = Street()
    street.find(person(), person(0.6))
    street.see()
    street.see(Result(labels=(Label(0, "none", 0.8),)))
    assert street.told == [["helmet", "none"]]


def test_what_is_seen_is_told_by_the_name_of_who_saw_it_with_its_score() -> None:
    street = Street()
    street.find(person())
    street.see()
    street.turning.turn()
    (box,) = street.turning.heard.reports[0][2].result.boxes or ()
    assert box.closer == {"helmets": Label(1, "helmet", 0.9)}


def test_a_result_waits_for_the_last_of_its_answers() -> None:
    street = Street()
    street.find(person(), person(0.6))
    street.see()
    assert street.told == []


def test_the_loop_goes_on_while_a_result_waits_and_the_order_stays() -> None:
    street = Street()
    street.find(person())
    street.find()  # nobody is there, so nothing is to be waited for
    assert street.turning.queues["cam"].frames.peek() is None
    assert street.told == []
    street.see()
    assert street.told == [["helmet"], []]


def test_a_result_whose_time_is_over_leaves_with_what_is_known() -> None:
    street = Street(join_s=1e-9)
    street.find(person())
    assert street.told == [["-"]]


def test_without_a_time_nothing_is_joined_and_nothing_waits() -> None:
    street = Street(join_s=0.0)
    street.find(person())
    assert street.crop().answer is None
    assert street.told == [["-"]]


@pytest.mark.parametrize("answer", [None, Result(labels=())])
def test_an_answer_that_says_nothing_is_waited_for_no_longer(answer: Result | None) -> None:
    street = Street()
    street.find(person())
    street.see(answer)
    assert street.told == [["-"]]


def test_objects_that_nobody_looks_at_are_not_waited_for() -> None:
    street = Street(labels=("dog",))
    street.find(person())
    assert street.told == [["-"]]


def test_no_more_than_a_few_results_wait_and_the_oldest_leave_as_they_are() -> None:
    street = Street(most=1)
    for _ in range(MOST_HELD + 2):
        street.find(person())
    assert street.told == [["-"], ["-"]]


def test_the_oldest_result_does_not_wait_for_answers_when_too_many_wait() -> None:
    street = Street(most=1)
    for _ in range(MOST_HELD):
        street.find(person())
        street.crop()  # the second pipeline is at work on it
    assert street.told == []
    street.find(person())
    assert street.told == [["-"]]


def test_an_object_that_had_to_make_room_is_not_waited_for() -> None:
    street = Street(most=MOST_WAITING)
    street.find(person())
    street.find(*[person(0.01 * n) for n in range(MOST_WAITING)])
    assert street.told == [["-"]]


def test_a_followed_object_keeps_what_was_seen_in_it() -> None:
    street = Street(every_s=HOUR_S)
    street.find(person(track=7))
    street.see()
    street.find(person(0.2, track=7), person(0.6, track=8))
    street.see(Result(labels=()))
    assert street.told == [["helmet"], ["helmet", "-"]]


def test_an_answer_that_comes_too_late_is_told_of_a_followed_object_the_next_time() -> None:
    street = Street(join_s=1e-9, every_s=HOUR_S)
    street.find(person(track=7))
    street.see()
    street.find(person(track=7))
    assert street.told == [["-"], ["helmet"]]


def test_what_waits_is_told_when_the_loop_ends() -> None:
    street = Street()
    street.find(person())
    street.turning.stop()
    assert len(street.turning.heard.reports) == 1


def _look(queue: PipelineQueue, looked: Latest[ObservedFrame | None]) -> None:
    looked.put(queue.wait_observed(10.0))


def test_who_looks_at_a_frame_sees_what_is_said_of_its_objects() -> None:
    street, looked = Street(), Latest[ObservedFrame | None]()
    queue = street.turning.queues["cam"]
    start("looker", partial(_look, queue, looked))

    def shown() -> bool:
        street.find(person())
        street.see()
        street.turning.turn()
        return looked.peek() is not None

    assert wait_for(shown)
    seen = looked.take()
    assert seen is not None
    assert [box.closer for box in seen.turn.result.boxes or ()] == [{"helmets": Label(1, "helmet", 0.9)}]


def test_the_input_is_not_through_before_its_last_result_has_left() -> None:
    street = Street()
    street.find(person())
    assert street.turning.queues["cam"].inferring
    street.see()
    street.turning.turn()
    assert not street.turning.queues["cam"].inferring


def test_a_frame_that_gives_no_result_answers_all_the_same() -> None:
    heard: list[Result | None] = []
    turning = Turning()
    turning.loop.offer(serving())
    for broken in (False, True):
        given = dataclasses.replace(frame(), answer=heard.append)
        turning.queues["cam"].put(dataclasses.replace(given, data={"no": frame().data}) if broken else given)  # type: ignore[dict-item]
        turning.turn()
    assert [result is not None for result in heard] == [True, False]


def test_a_frame_that_a_newer_one_replaces_answers() -> None:
    heard: list[Result | None] = []
    turning = Turning()
    for _ in range(2):
        turning.queues["cam"].put(dataclasses.replace(frame(), answer=heard.append))
    assert heard == [None]


def test_a_pipeline_that_looks_closer_may_come_after_the_first_has_ended() -> None:
    clock, exchange = CountingClock(), CascadeExchange()
    exchange.end("cam")
    late = Crops(CropsSource(of="cam"), clock)
    exchange.join(late, "helmets", Counters())
    clock.advance(2.0)
    with pytest.raises(EndOfInput):
        late.read(0)


def test_a_pipeline_that_begins_again_has_not_ended() -> None:
    clock, exchange = CountingClock(), CascadeExchange()
    exchange.end("cam")
    exchange.join(Synthetic(SyntheticSource(), clock), "cam", Counters())
    late = Crops(CropsSource(of="cam"), clock)
    exchange.join(late, "helmets", Counters())
    clock.advance(2.0)
    with pytest.raises(FrameUnfinished):
        late.read(0)


def test_nothing_more_waits_once_all_was_looked_at() -> None:
    street = Street()
    street.find(person())
    street.see()
    with pytest.raises(FrameUnfinished):
        street.crop()
