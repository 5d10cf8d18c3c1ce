from __future__ import annotations

import msgspec
import numpy as np

from fixtures.agents.fake_pipeline import fake
from fixtures.models.descriptions import describe
from inferd.plugins import Preprocess
from inferd.preprocess import build
from inferd.records import Frame
from inferd.runtime.fake import Fake
from inferd.system.clock import SystemClock
from inferd.tasks.classify import Classify
from inferd.temporal_state import TemporalState, memory_of, remembers
from inferd.wire.manifest import ModelDescription, OutputSection

SOUND, PICTURE = np.zeros((800, 1), np.float32), np.zeros((8, 8, 3), np.uint8)


def forgotten_at(*numbers: int, data: object = SOUND, gapless: bool = True) -> list[int]:
    """Return before which frames of these numbers a memory was forgotten."""
    at: list[int] = []
    now: list[int] = []
    memory = TemporalState([lambda: at.append(now[-1])], gapless=gapless)
    for number in numbers:
        now.append(number)
        memory.advance(Frame(data, number, 0, 0.0))  # type: ignore[arg-type]  # an array
    return at


def test_windows_that_follow_each_other_are_one_sound() -> None:
    assert forgotten_at(0, 1, 2, 3) == []


def test_a_window_that_was_lost_ends_the_memory() -> None:
    assert forgotten_at(0, 1, 3, 4) == [3]


def test_a_source_that_begins_anew_ends_the_memory() -> None:
    assert forgotten_at(0, 1, 2, 0, 1) == [0]
    assert forgotten_at(0, 1, 2, 0, 1, gapless=False) == [0]


def test_a_reopened_source_ends_the_memory_whatever_its_numbers() -> None:
    at: list[tuple[int, int]] = []
    memory = TemporalState([lambda: at.append(now)])
    for now in ((0, 0), (0, 1), (1, 2), (1, 3), (2, 3), (3, 3)):
        opening, number = now
        memory.advance(Frame(PICTURE, number, 0, 0.0, opening=opening))
    assert at == [(1, 2), (2, 3), (3, 3)]


def test_a_picture_that_was_dropped_ends_nothing() -> None:
    assert forgotten_at(0, 2, 5, data=PICTURE) == []


def test_a_model_without_a_memory_minds_no_gap() -> None:
    assert forgotten_at(0, 2, 5, gapless=False) == []


def test_only_what_minds_gaps_lets_frames_wait() -> None:
    assert (TemporalState().frames, TemporalState(gapless=True).frames) == (1, 16)


def memory_for(description: ModelDescription, *shape: int) -> TemporalState:
    """Return the memory of a pipeline of the fake engine, whose input has this shape."""
    engine = Fake("", fake(input_shape=shape), SystemClock(), "fake")
    preprocess: Preprocess = build(description, engine.info, (0.0, 0.0, 1.0, 1.0))
    return memory_of(description, engine, preprocess, Classify(description, engine.info))


def test_a_model_with_variables_minds_gaps_and_another_does_not() -> None:
    plain = describe(output_section=OutputSection(average=5))
    stateful = msgspec.structs.replace(plain, facts=msgspec.structs.replace(plain.facts, ops={"VAR_HANDLE": 1}))
    assert [memory_for(each, 1, 800).frames for each in (plain, stateful)] == [1, 16]


def test_pictures_never_wait_in_a_row_for_a_model_with_variables() -> None:
    plain = describe()
    stateful = msgspec.structs.replace(plain, facts=msgspec.structs.replace(plain.facts, ops={"VAR_HANDLE": 1}))
    assert memory_for(stateful, 1, 32, 32, 3).frames == 1


def test_a_mean_over_frames_is_a_memory() -> None:
    averages = [describe(output_section=OutputSection(average=count)) for count in (None, 1, 0, 5)]
    assert [remembers(one) for one in averages] == [False, False, True, True]
