"""Shared memory in which control sees that the worker's threads make progress.

One slot a thread, written only by that thread: when it last made a turn, and what it is busy with. A write is one
aligned 8-byte store: atomic on 64-bit boards; on 32-bit boards a reader may see a torn value during a carry between the
halves, which looks like one late or early turn.
"""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass
from enum import IntEnum
from typing import Self

SLOTS = 33  # the worker's control thread, and up to 32 loops
_WORDS = 2
_BYTES = SLOTS * _WORDS * 8


class Busy(IntEnum):
    """What a thread is doing. A crash or hang during ENGINE is blamed on the engine.

    REPLAYING runs a model that serves no pipeline; the engines that run meanwhile may be at fault instead.
    """

    IDLE = 0
    ENGINE = 1
    LOADING = 2
    REPLAYING = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """A slot as control read it: the monotonic time of the last turn (0 before the first), and what the thread is doing."""

    turned_ns: int
    busy: Busy


class Heartbeats:
    """The shared page. Created by control; the worker maps its `fd`."""

    def __init__(self, fd: int) -> None:
        """Map the page of `fd`; takes ownership of it."""
        self.fd = fd
        self._map = mmap.mmap(fd, _BYTES)
        self._words = memoryview(self._map).cast("Q")

    @classmethod
    def create(cls) -> Self:
        """Make a new page, all zero."""
        fd = os.memfd_create("inferd-progress", os.MFD_CLOEXEC)
        os.ftruncate(fd, _BYTES)
        return cls(fd)

    def slot(self, index: int) -> HeartbeatSlot:
        """Return the slot that one thread writes."""
        return HeartbeatSlot(self._words[index * _WORDS : (index + 1) * _WORDS])

    def read(self, index: int) -> Reading:
        """Return what the thread of this slot last wrote."""
        turned_ns, busy = self._words[index * _WORDS : (index + 1) * _WORDS]
        return Reading(turned_ns, Busy(busy) if busy < len(Busy) else Busy.IDLE)

    def close(self) -> None:
        """Close the descriptor; slots that are in use keep the page mapped. Idempotent."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class HeartbeatSlot:
    """The writing side of one thread's slot."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def turn(self, now_ns: int) -> None:
        """Record that the thread made a turn and is idle."""
        self._words[1] = Busy.IDLE
        self._words[0] = now_ns

    def begin(self, busy: Busy) -> None:
        """Record what the thread is about to do."""
        self._words[1] = busy
