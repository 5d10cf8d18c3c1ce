"""A link that prints results, a line each, for `inferd run --print`."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import BinaryIO

from inferd.records import Incoming, LinkEvent, Message
from inferd.system.threads import Condition, join_all, start

MAX_WAITING = 1000  # lines kept while whoever reads them is slow; the oldest go first


class LineLink:
    """Prints the payload of every result. `publish` never waits: a thread of its own writes, as fast as the reader reads."""

    connected = True

    def __init__(self, stream: BinaryIO, form: Callable[[bytes], bytes] = bytes) -> None:
        """Print to `stream`, which stays the caller's; `form` makes a line of a payload, JSON as it is by default."""
        self._stream = stream
        self._form = form
        self._waiting: deque[bytes] = deque()
        self._changed = Condition()
        self._closing = False
        self._dropped = 0
        self._thread = start("print", self._write_all)

    def publish(self, message: Message) -> None:
        """Take a message; only results are printed."""
        if not message.topic.endswith("/result"):
            return
        with self._changed:
            if len(self._waiting) >= MAX_WAITING:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(message.payload)
            self._changed.notify()

    def dropped(self) -> int:
        """Return how many results were not printed because the reader was too slow."""
        return self._dropped

    def incoming(self) -> list[Incoming]:
        """Return nothing: nobody answers a line."""
        return []

    def events(self) -> list[LinkEvent]:
        """Return nothing."""
        return []

    def close(self, timeout_s: float) -> None:
        """Print what waits; give up after `timeout_s`."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        join_all([self._thread], timeout_s)

    def _write_all(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                lines, self._waiting = self._waiting, deque()
            if not lines:
                return
            try:
                self._stream.write(b"".join(self._form(line) + b"\n" for line in lines))
                self._stream.flush()
            except OSError:  # whoever read has gone; that must not end the agent
                return
