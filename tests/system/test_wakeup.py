from __future__ import annotations

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
