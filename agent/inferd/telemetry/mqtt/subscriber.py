"""Receives what others publish on a broker: for the demo and for `watch`, `ask` and tools. The agent has its link for that."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from inferd.config.settings import Mqtt
from inferd.errors import LinkError
from inferd.records import Incoming, Message
from inferd.system.clock import SystemClock
from inferd.system.threads import Event, Lock, join_all, start
from inferd.telemetry.encryption.payload import sealer
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.connection import Connection
from inferd.telemetry.mqtt.tls import context
from inferd.telemetry.outgoing.batches import TimedMessage
from inferd.wire.topics import OFFLINE, ONLINE, REPLAY, STATUS

MAX_WAITING = 5_000  # messages kept until they are popped; the oldest are dropped and counted
MAX_WAITING_BYTES = 16 << 20
MAX_LEAVING = 16
TURN_S = 0.1  # how long a message to send, or a call of `close`, may go unseen
CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message; `retained` if the broker had it from earlier."""

    topic: str
    payload: bytes
    retained: bool


class Subscriber:
    """Subscribes, again after every loss. A thread of its own owns the connection; any thread may call it."""

    def __init__(self, broker: Mqtt, topics: Sequence[str], password: str = "", backoff: Backoff = Backoff()) -> None:  # noqa: B008 - frozen
        """Start to connect; returns at once.

        Args:
            broker: where it is and who we are to it; its `client_id` is the device's and is not used.
            topics: filters, with + and # as MQTT has them.
            password: for the user name in `broker`; "" for none.
            backoff: pauses between attempts.

        Raises:
            LinkError: a certificate or key in `broker` cannot be used.
        """
        self.ready = False
        """Whether the broker has confirmed the subscription and has not been lost since."""
        self.why = "it has not answered as a broker does"
        """Why it is not ready."""
        self.lost = 0
        """Messages that were dropped because they were not popped in time."""
        self.unreadable = 0
        """Messages that were not valid, encrypted with another key or altered; plain ones where we have a key."""
        self._broker = broker
        self._topics = topics
        self._password = password
        self._backoff = backoff
        self._clock = SystemClock()
        self._waiting: deque[ReceivedMessage] = deque()
        self._waiting_bytes = 0
        self._waiting_lock = Lock()
        self._leaving: deque[Message] = deque(maxlen=MAX_LEAVING)
        self._stop = Event()
        self._expired = Event()
        self._cipher = sealer(broker.seal_key_file)
        context(broker)  # so that a file that cannot be used is an error here
        self._thread = start("mqtt-subscriber", self._run)

    def pop_all(self) -> list[ReceivedMessage]:
        """Return the messages since the last call, oldest first; never waits."""
        with self._waiting_lock:
            messages = list(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
        return messages

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send a message (QoS 1) over the same connection, soon; never waits. The oldest of too many are dropped."""
        self._leaving.append(Message(topic, payload, 1, retain, absolute=True))

    @property
    def leaving(self) -> int:
        """How many messages have yet to be sent."""
        return len(self._leaving)

    def close(self) -> None:
        """Send what waits, if there is a connection, and disconnect; give up after CLOSE_S. Idempotent."""
        self._stop.set()
        if join_all([self._thread], CLOSE_S):
            self._expired.set()
            join_all([self._thread], CLOSE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            was_ready = False
            try:
                with closing(
                    Connection(self._broker, "", self._password, None, self._clock, self._topics)
                ) as connection:
                    try:
                        self._serve(connection)
                    finally:
                        was_ready, self.ready = self.ready, False
                        self.unreadable += connection.unreadable
            except LinkError as fault:
                self.why = fault.message
            failures = 1 if was_ready else failures + 1
            self._stop.wait(self._backoff.pause_s(failures))

    def _serve(self, connection: Connection) -> None:
        """Receive and send until `close` is called.

        Raises:
            LinkError: the connection is lost, or a subscription is denied.
        """
        while not self._stop.is_set() or self._has_more(connection):
            while self.ready and self._leaving and connection.has_window():
                connection.send(TimedMessage(self._leaving.popleft()))
            connection.turn(TURN_S)
            received, connection.received = connection.received, []
            for one in received:
                self._receive(one)
            connection.acknowledged.clear()
            if connection.complaints and not self.ready:
                raise LinkError(connection.address, "; ".join(connection.complaints))
            self.ready = connection.subscribed
            self.why = "" if self.ready else self.why
        connection.disconnect()

    def _has_more(self, connection: Connection) -> bool:
        """Whether something has yet to be sent; a broker that never answers cannot delay `close`."""
        return self.ready and not self._expired.is_set() and (bool(self._leaving) or not connection.is_delivered())

    def _receive(self, message: Incoming) -> None:
        try:
            payload = self._decrypted(message.topic, message.payload)
        except LinkError:
            self.unreadable += 1
            return
        with self._waiting_lock:
            self._waiting.append(ReceivedMessage(message.topic, payload, message.retained))
            self._waiting_bytes += len(payload)
            while len(self._waiting) > MAX_WAITING or self._waiting_bytes > MAX_WAITING_BYTES:
                self._waiting_bytes -= len(self._waiting.popleft().payload)
                self.lost += 1

    def _decrypted(self, topic: str, payload: bytes) -> bytes:
        if self._cipher is None or _is_status(topic, payload):
            return payload
        return self._cipher.open_missed(payload) if topic.endswith(f"/{REPLAY.path}") else self._cipher.open(payload)


def _is_status(topic: str, payload: bytes) -> bool:
    """Whether this is the one message of a device that is never encrypted: the broker publishes it, too."""
    return topic.endswith(f"/{STATUS.path}") and payload in (ONLINE, OFFLINE)
