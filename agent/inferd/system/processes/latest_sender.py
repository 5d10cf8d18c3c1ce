"""Sends messages that must arrive over a channel, without ever waiting for its other end."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from inferd.system.processes.channel import Channel

Out = TypeVar("Out")
Subject = tuple[str, ...]
"""What a message is about. The other end needs only the newest message of a subject."""


class LatestSender(Generic[Out]):
    """Keeps the newest message of each subject while the channel is full. Owned by one thread.

    The order of subjects is kept. It holds at most one message a subject, and copies of its descriptors.
    """

    def __init__(self, channel: Channel[Any, Out]) -> None:  # Any: what the channel receives does not matter here
        """Send over `channel`, which the caller closes."""
        self._channel = channel
        self._unsent: dict[Subject, tuple[Out, tuple[int, ...]]] = {}

    def send(self, subject: Subject, message: Out, fds: Sequence[int] = ()) -> None:
        """Send now if possible, else at a later `retry`; the caller keeps and closes its descriptors.

        Raises:
            OSError: the message has to wait, and this process may have no more descriptors.
        """
        if not self._unsent and self._channel.offer(message, fds):
            return
        copies = tuple(map(os.dup, fds))
        replaced = self._unsent.get(subject)
        self._unsent[subject] = message, copies
        if replaced is not None:
            _close(replaced[1])

    def retry(self) -> None:
        """Send waiting messages, oldest subject first, while there is room."""
        while self._unsent:
            subject, (message, fds) = next(iter(self._unsent.items()))
            if not self._channel.offer(message, fds):
                return
            del self._unsent[subject]
            _close(fds)

    def close(self) -> None:
        """Drop waiting messages. Idempotent."""
        for _, fds in self._unsent.values():
            _close(fds)
        self._unsent.clear()


def _close(fds: Sequence[int]) -> None:
    for fd in fds:
        os.close(fd)
