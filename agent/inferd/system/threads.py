"""The only module that starts threads, and what threads may share."""

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
OWN_FAULT = 70  # EX_SOFTWARE of sysexits.h: the exit code of a process in which a thread failed unexpectedly

Event = threading.Event
Condition = threading.Condition
Lock = threading.Lock


def start(name: str, target: Callable[[], None]) -> threading.Thread:
    """Start a daemon thread; its name is logged if it does not end.

    An unexpected exception ends the process at once: a missing thread would go unnoticed.
    """

    def guarded() -> None:
        try:
            target()
        except BaseException:
            log.critical("thread %r failed by a fault of inferd's own", name, exc_info=True)
            logging.shutdown()
            os._exit(OWN_FAULT)

    thread = threading.Thread(target=guarded, name=name, daemon=True)
    thread.start()
    return thread


def join_all(threads: Iterable[threading.Thread], timeout_s: float) -> list[str]:
    """Wait for all threads, at most `timeout_s` in total; return the names of those that still run."""
    deadline = time.monotonic() + timeout_s
    running = list(threads)
    for thread in running:
        thread.join(max(0.0, deadline - time.monotonic()))
    return [thread.name for thread in running if thread.is_alive()]


class Latest(Generic[T]):
    """A queue for one item, or for the newest few: a new one replaces the oldest if it is full.

    Any number of threads may put and take. Several queues may share one Condition, so that one reader waits for all.
    """

    def __init__(self, changed: threading.Condition | None = None) -> None:
        """Notify this Condition on every `put` and `take`."""
        self._changed = changed or threading.Condition()
        self._items: deque[T] = deque()
        self.room = 1
        """How many items fit. The reader may change it."""

    def put(self, item: T) -> list[T]:
        """Add an item; return those it replaced, oldest first: several if `room` was reduced."""
        with self._changed:
            replaced = [self._items.popleft() for _ in range(len(self._items) - self.room + 1)]
            self._items.append(item)
            self._changed.notify_all()
        return replaced

    def take(self) -> T | None:
        """Remove and return the oldest item; None if empty."""
        with self._changed:
            item = self._items.popleft() if self._items else None
            if item is not None:
                self._changed.notify_all()
        return item

    def peek(self) -> T | None:
        """Return the oldest item without removing it."""
        with self._changed:
            return self._items[0] if self._items else None

    def wait_take(self, timeout_s: float) -> T | None:
        """Wait for an item and take it; None on time-out."""
        with self._changed:
            self._changed.wait_for(lambda: self._items, timeout_s)
        return self.take()

    def wait_empty(self, stop: threading.Event, timeout_s: float) -> bool:
        """Wait until all items are taken; return False if `timeout_s` passed or `stop` was set first."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while self._items:
                left_s = deadline - time.monotonic()
                if left_s <= 0 or stop.is_set():
                    return False
                self._changed.wait(min(left_s, 0.1))  # 0.1 s: how long a set `stop` may go unnoticed
        return True
