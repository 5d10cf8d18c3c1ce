from __future__ import annotations

import os

import pytest

from fixtures.agents.interleaving import interrupted
from inferd.system.threads import Event, join_all, start
from inferd.system.wakeup import Wakeup


def test_it_wakes_whoever_waits() -> None:
    wakeup, woken = Wakeup(), Event()
    waiting = start("waiting", lambda: woken.set() if wakeup.wait(30.0) else None)
    wakeup.set()
    assert join_all([waiting], 30.0) == []
    assert woken.is_set()
    wakeup.close()


def test_several_wakes_before_the_wait_are_one() -> None:
    wakeup = Wakeup()
    wakeup.set()
    wakeup.set()
    assert wakeup.wait(0.0)
    assert not wakeup.wait(0.0)
    wakeup.close()


def test_clearing_what_nobody_set_is_fine() -> None:
    wakeup = Wakeup()
    wakeup.clear()
    wakeup.close()


def test_waking_after_close_is_fine_and_so_is_closing_twice() -> None:
    wakeup = Wakeup()
    wakeup.close()
    wakeup.set()
    wakeup.close()
    assert wakeup.fileno() == -1


def test_a_wake_never_reaches_a_file_that_got_the_number_after_the_close() -> None:
    wakeup = Wakeup()
    number = wakeup.fileno()
    others = []

    def close_and_open_another() -> None:
        wakeup.close()
        others.append(os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC))

    interrupted(wakeup.set, "eventfd_write", close_and_open_another)
    assert others == [number]  # the kernel gives the lowest free number
    with pytest.raises(BlockingIOError):
        os.eventfd_read(number)
    os.close(number)
