from __future__ import annotations

import os

from inferd.system.processes.heartbeats import Busy, Heartbeats, Reading


def test_what_one_side_writes_the_other_reads() -> None:
    ours = Heartbeats.create()
    theirs = Heartbeats(os.dup(ours.fd))
    slot = theirs.slot(3)
    slot.turn(12345)
    slot.begin(Busy.ENGINE)
    assert ours.read(3) == Reading(12345, Busy.ENGINE)


def test_a_turn_ends_what_the_thread_was_busy_with() -> None:
    progress = Heartbeats.create()
    slot = progress.slot(1)
    slot.begin(Busy.ENGINE)
    slot.turn(1)
    assert progress.read(1).busy is Busy.IDLE


def test_slots_are_apart() -> None:
    progress = Heartbeats.create()
    progress.slot(1).turn(7)
    assert [progress.read(index).turned_ns for index in (0, 1, 2)] == [0, 7, 0]
