"""Messages that a link received: requests for its owner, and our own `info`."""

from __future__ import annotations

from collections import deque

import msgspec

from inferd.records import Incoming
from inferd.telemetry.mqtt.connection import Connection
from inferd.telemetry.mqtt.duplicate_device import DuplicateDeviceWatch

MAX_INCOMING = 256
MAX_PAYLOAD_BYTES = 22_001  # an encrypted request of 16,000 bytes has 21,600; what is longer is refused for its length


class InboundQueue:
    """The link's thread adds to it; any thread may empty it.

    Attributes:
        duplicates: knows which `info` is our own.
        dropped: messages that were lost because too many came.
    """

    def __init__(self, info_topic: str, ignored: str = "\0") -> None:
        """Start empty.

        Args:
            info_topic: the full topic of our `info`.
            ignored: topics that begin so are dropped: requests, where none are allowed.
        """
        self.duplicates = DuplicateDeviceWatch()
        self.dropped = 0
        self._info_topic = info_topic
        self._ignored = ignored
        self._incoming: deque[Incoming] = deque(maxlen=MAX_INCOMING)

    def pop_all(self) -> list[Incoming]:
        """Return the messages since the last call, oldest first."""
        return [self._incoming.popleft() for _ in range(len(self._incoming))]

    def receive(self, connection: Connection) -> None:
        """Add what came on a connection."""
        received, connection.received = connection.received, []
        for one in received:
            if one.topic == self._info_topic:
                self.duplicates.received(one.payload)
                continue
            if one.topic.startswith(self._ignored):
                continue
            self.dropped += len(self._incoming) == MAX_INCOMING
            self._incoming.append(msgspec.structs.replace(one, payload=one.payload[:MAX_PAYLOAD_BYTES]))
