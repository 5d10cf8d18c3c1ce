"""What a link hears: requests for its owner, and a second device of the same id."""

from __future__ import annotations

import logging
from collections import deque

from inferd.records import Incoming
from inferd.telemetry.connection_errors import TakenOver
from inferd.telemetry.mqtt.connection import Connection
from inferd.telemetry.mqtt.duplicate_device import DuplicateDeviceWatch

MAX_INCOMING = 256

log = logging.getLogger(__name__)


class InboundQueue:
    """The link's owner thread hears; any thread may take.

    Attributes:
        twins: knows what `info` is our own.
    """

    def __init__(self, device: str, info_topic: str) -> None:
        """Hear as `device`; `info_topic` is the whole topic of its `info`."""
        self.twins = DuplicateDeviceWatch()
        self._device = device
        self._info_topic = info_topic
        self._incoming: deque[Incoming] = deque(maxlen=MAX_INCOMING)
        self._complaints: set[str] = set()

    def take(self) -> list[Incoming]:
        """Return what was heard since the last time, oldest first."""
        return [self._incoming.popleft() for _ in range(len(self._incoming))]

    def hear(self, way: Connection) -> None:
        """Take what came on a connection, and say once what the broker does not let us do.

        Raises:
            TakenOver: another device has our id.
        """
        for complaint in way.complaints - self._complaints:
            self._complaints.add(complaint)
            log.warning("mqtt: %s: %s", way.where, complaint)
        heard, way.heard = way.heard, []
        for one in heard:
            if one.topic != self._info_topic:
                self._incoming.append(one)
            elif twin := self.twins.twin(one.payload):
                raise TakenOver(way.where, f"another device (boot id {twin}) says it is {self._device!r} too")
