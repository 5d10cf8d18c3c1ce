"""The only file that starts threads, and the few things that threads may share."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

T = TypeVar("T")

log = logging.getLogger(__name__)
OWN_FAULT = 70  # EX_SOFTWARE of sysexits.h: the exit code of a process in which a thread failed by our own fault

Event = threading.Event
Condition = threading.Condition
Lock = threading.Lock


def start(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a thread that does not keep the process alive; its name is what a person is told if it does not end.

    An exception that nobody foresaw ends the process at once: a thread that is missing is noticed by nobody.
    """

    def guarded() -> None:
        try:
            target()
        except BaseException:
            log.critical("thread %r ended by a fault of our own", name, exc_info=True)
            logging.shutdown()
            os._exit(OWN_FAULT)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def join_all(threads: Iterable[threading.Thread], timeout_s: float) -> list[str]:
    """Wait for all threads together, at most `timeout_s`; return the names of those that still run."""
    ends = time.monotonic() + timeout_s
    running = list(threads)
    for thread in running:
        thread.join(max(0.0, ends - time.monotonic()))
    return [thread.name for thread in running if thread.is_alive()]


class Latest(Generic[T]):
    """A place for one item, or for the newest few: a newer one replaces the oldest that nobody took.

    Any number of threads on either side.
    Several of them may share one Condition, so that one reader can wait for all of them at once.
    """

    def __init__(self, changed: threading.Condition | None = None) -> None:
        """Take the Condition that is notified on every `put` and `take`."""
        self._changed = changed or threading.Condition()
        self._items: deque[T] = deque()
        self.room = 1
        """How many items there is a place for. Whoever reads them may change it."""

    def put(self, item: T) -> list[T]:
        """Leave an item; return what it replaced, oldest first: several where there is room for fewer than there was."""
        with self._changed:
            replaced = [self._items.popleft() for _ in range(len(self._items) - self.room + 1)]
            self._items.append(item)
            self._changed.notify_all()
        return replaced

    def take(self) -> T | None:
        """Return the oldest item and free its place; None where there is none."""
        with self._changed:
            item = self._items.popleft() if self._items else None
            if item is not None:
                self._changed.notify_all()
        return item

    def peek(self) -> T | None:
        """Return the oldest item and leave it where it is."""
        with self._changed:
            return self._items[0] if self._items else None

    def wait_take(self, timeout_s: float) -> T | None:
        """Wait for an item and take it; None where none came in `timeout_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout_s)
        return self.take()

    def wait_empty(self, stop: threading.Event, timeout_s: float) -> bool:
        """Wait until all items are taken; return False where `timeout_s` passed or `stop` was set first."""
        ends = time.monotonic() + timeout_s
        with self._changed:
            while self._items:
                left_s = ends - time.monotonic()
                if left_s <= 0 or stop.is_set():
                    return False
                self._changed.wait(min(left_s, 0.1))  # 0.1 s: how long a set `stop` may go unseen
        return True
