"""Shared counters by which control sees, without asking, that the worker's threads still turn.

One slot a thread, written only by that thread: when it last made a turn, and what it is busy with. A write is one
aligned 8-byte store; a reader may see an old value, never a mixed one on 64-bit boards, and a torn one on 32-bit boards
only for the instant of a carry between the halves, which looks like one late or early turn.
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
    """What a thread is at. Between ENGINE marks a death or a hang is the engine's doing.

    REPLAYING is a model that serves no pipeline: another one than the engines that are at work meanwhile may have done it.
    """

    IDLE = 0
    ENGINE = 1
    LOADING = 2
    REPLAYING = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """A slot as control saw it: the monotonic time of the last turn (0 before the first), and what the thread is at."""

    turned_ns: int
    busy: Busy


class Heartbeats:
    """The shared page. Made by control, whose `fd` the worker opens again."""

    def __init__(self, fd: int) -> None:
        """Map the page behind `fd`, which is taken over."""
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
        """Unmap the page. Slots that are still held keep it alive. Twice is fine."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class HeartbeatSlot:
    """The writing side of one thread's progress."""

    def __init__(self, words: memoryview) -> None:
        self._words = words

    def turn(self, now_ns: int) -> None:
        """Say that the thread made a turn and is idle."""
        self._words[1] = Busy.IDLE
        self._words[0] = now_ns

    def begin(self, busy: Busy) -> None:
        """Say what the thread is about to do."""
        self._words[1] = busy
