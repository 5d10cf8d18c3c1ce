"""The results stream of the local socket: a link that hands each result, as it was encoded once, to all who subscribed."""

from __future__ import annotations

import socket

from inferd.control.reporting.subscriber import MOST_SUBSCRIBERS, StreamSubscriber
from inferd.records import Incoming, LinkEvent, Message
from inferd.system.clock import Clock

RESULT = "/result"


class ResultStream:
    """Owned by control's main thread; a `plugins.Link` to processes on this device."""

    def __init__(self, clock: Clock) -> None:
        """Start without subscribers."""
        self.connected = False  # whether there is a subscriber
        self._clock = clock
        self._subscribers: list[tuple[str, StreamSubscriber]] = []

    def subscribe(self, connection: socket.socket, pipeline: str) -> bool:
        """Send the results of a pipeline ("" for all) over a connection from now on; False where there are too many."""
        self.turn()
        if len(self._subscribers) >= MOST_SUBSCRIBERS:
            return False
        self._subscribers.append((pipeline, StreamSubscriber(connection, self._clock)))
        self.connected = True
        return True

    def turn(self) -> None:
        """Forget subscribers that are gone."""
        for _, one in self._subscribers:
            one.check()
        self._subscribers = [one for one in self._subscribers if not one[1].gone]
        self.connected = bool(self._subscribers)

    def publish(self, message: Message) -> None:
        """Send a result to those who subscribed to its pipeline."""
        if self._subscribers and not message.absolute and message.topic.endswith(RESULT):
            pipeline = message.topic.removesuffix(RESULT)
            for wanted, one in self._subscribers:
                if wanted in ("", pipeline):
                    one.offer(message.payload)

    def dropped(self) -> int:
        """Return 0: what a slow subscriber misses is told to it alone."""
        return 0

    def incoming(self) -> list[Incoming]:
        """Return nothing: subscribers only read."""
        return []

    def events(self) -> list[LinkEvent]:
        """Return nothing."""
        return []

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing waits
        """Close all connections. Idempotent."""
        for _, one in self._subscribers:
            one.close()
        self._subscribers = []
