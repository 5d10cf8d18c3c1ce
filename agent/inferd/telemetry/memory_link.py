"""A link that ends in this process: a shipped fake, for tests and for running without any broker."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from inferd.config.settings import Mqtt
from inferd.records import Incoming, LinkEvent, Message
from inferd.system.clock import Clock
from inferd.system.threads import Lock
from inferd.telemetry.outgoing.outbox import Outbox
from inferd.wire import topics

MAX_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as a subscriber of everything hears it; `topic` is the full one."""

    topic: str
    payload: bytes


class MemoryLink:
    """A `parts.Link` whose broker is itself: any thread may use it, messages arrive before `publish` returns.

    Attributes:
        heard: the newest MAX_KEPT messages, oldest first, the broker's own "offline" among them.
        connected: see `cut` and `mend`.
    """

    def __init__(self, settings: Mqtt, device: str, _clock: Clock | None = None) -> None:
        """Connect at once. Takes what every link takes; it needs no clock."""
        self.heard: deque[Delivery] = deque(maxlen=MAX_KEPT)
        self.connected = False
        self._prefix = settings.prefix
        self._device = device
        self._outbox = Outbox(settings.max_buffered)
        self._incoming: deque[Incoming] = deque(maxlen=MAX_KEPT)
        self._closed = False
        self._lock = Lock()  # one at a time hears, as one thread does in the real link
        self.mend()

    def publish(self, message: Message) -> None:
        """Take a message, and deliver it where there is a connection."""
        if self._closed:
            self._outbox.count_dropped()
            return
        self._outbox.put(message)
        self._deliver()

    def dropped(self) -> int:
        """Return how many messages the bound has cost since the start."""
        return self._outbox.dropped

    def hear(self, incoming: Incoming) -> None:
        """Have the device hear this, as if somebody had published it."""
        self._incoming.append(incoming)

    def incoming(self) -> list[Incoming]:
        """Return what was heard since the last time, oldest first."""
        return [self._incoming.popleft() for _ in range(len(self._incoming))]

    def events(self) -> list[LinkEvent]:
        """Return nothing: nothing ever happens to it."""
        return []

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - there is nothing to wait for
        """Say "offline" and disconnect. Idempotent."""
        self._closed = True
        self.cut()

    def cut(self) -> None:
        """Lose the connection: the broker says "offline", and what is published waits."""
        with self._lock:
            if self.connected:
                self.connected = False
                self._hear(topics.STATUS.message(topics.OFFLINE))

    def mend(self) -> None:
        """Connect again: retained messages, "online", and what has waited arrive."""
        self._outbox.resend_retained(topics.STATUS.message(topics.ONLINE))
        self.connected = True
        self._deliver()

    def payloads(self, topic: str) -> list[bytes]:
        """Return what was heard on a topic (below the device), oldest first."""
        full = topics.full_topic(self._prefix, self._device, topic)
        return [delivery.payload for delivery in list(self.heard) if delivery.topic == full]

    def _deliver(self) -> None:
        with self._lock:
            while self.connected and (outgoing := self._outbox.pop()) is not None:
                self._hear(outgoing.message)

    def _hear(self, message: Message) -> None:
        topic = message.topic if message.absolute else topics.full_topic(self._prefix, self._device, message.topic)
        self.heard.append(Delivery(topic, message.payload))
