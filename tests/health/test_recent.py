from __future__ import annotations

import numpy as np

from inferd.health.recent import EVERY_NS, KEPT, TIMED, RecentAnswers, thinned
from inferd.records import Array, Frame, Label, ModelRef, Result, StageTimes, Tick

TURN = Tick(Result(labels=(Label(0, "cat", 0.9),)), StageTimes(0, 0, 0, 0, 1_000_000, 0), 0, 0.0)
OLD, NEW = (ModelRef("m", "", digest * 64) for digest in "01")


def frame(seq: int = 0, data: Array | None = None) -> Frame:
    picture = np.zeros((48, 64, 3), np.uint8) if data is None else data
    return Frame(picture, seq, seq * EVERY_NS, 0.0)


def filled(ref: ModelRef, turns: int, room_bytes: int = 0) -> RecentAnswers:
    recent = RecentAnswers()
    recent.watch(NEW.digest, room_bytes)
    for seq in range(turns):
        recent.take(frame(seq), TURN, ref)
    return recent


def test_answers_are_spread_over_all_the_time_and_never_more_than_a_few() -> None:
    recent = filled(NEW, 1000, room_bytes=1 << 20)
    kept = [turn.frame.seq for turn in recent.turns if turn.frame is not None]
    assert KEPT // 2 <= len(kept) <= KEPT
    assert kept[0] == 0
    assert kept[-1] > 900


def test_frames_come_oftener_than_they_are_kept() -> None:
    recent = RecentAnswers()
    for _ in range(10):
        recent.take(frame(), TURN, NEW)
    assert (len(recent.turns), len(recent.took_ns)) == (1, 10)


def test_frames_are_kept_of_the_model_on_trial_only_and_in_their_room() -> None:
    assert all(turn.frame is None for turn in filled(OLD, 20, room_bytes=1 << 20).turns)
    assert all(turn.frame is None for turn in filled(NEW, 20).turns)
    room = 64 << 10
    recent = filled(NEW, 100, room_bytes=room)
    assert sum(np.asarray(turn.frame.data).nbytes for turn in recent.turns if turn.frame is not None) <= room


def test_another_model_begins_anew_and_knows_what_the_one_before_said() -> None:
    recent = filled(OLD, 10)
    recent.take(frame(11), TURN, NEW)
    assert (len(recent.before), len(recent.turns), len(recent.took_ns)) == (10, 1, 1)


def test_frames_are_let_go_of_and_answers_stay() -> None:
    recent = filled(NEW, 20, room_bytes=1 << 20)
    recent.forget_frames()
    assert recent.turns
    assert all(turn.frame is None for turn in recent.turns)
    recent.take(frame(40), TURN, NEW)
    assert recent.turns[-1].frame is None


def test_a_picture_is_thinned_until_it_fits_and_is_a_copy() -> None:
    data = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    small = thinned(frame(0, data), 2400)
    assert small is not None
    assert np.asarray(small.data).shape == (24, 32, 3)
    assert not np.shares_memory(np.asarray(small.data), data)


def test_a_signal_that_does_not_fit_is_not_kept() -> None:
    data = np.zeros((100, 2), np.float32)
    assert thinned(frame(0, data), 799) is None
    assert thinned(frame(0, data), 800) is not None


def test_who_reads_its_times_is_not_disturbed_by_further_turns() -> None:
    recent = filled(NEW, TIMED + 5)
    for took_ns in recent.took_ns:
        recent.take(frame(), TURN, NEW)
        assert took_ns == TURN.times.total
    assert len(recent.took_ns) == TIMED
