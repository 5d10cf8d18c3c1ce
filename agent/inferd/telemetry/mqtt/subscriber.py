"""Hears what others say on a broker: for the demo and for whoever watches devices. The agent itself only speaks."""

from __future__ import annotations

import contextlib
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from paho.mqtt.client import Client, ConnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from inferd.config.settings import Mqtt
from inferd.errors import LinkError
from inferd.records import Message
from inferd.system.threads import Event, join_all, start
from inferd.telemetry.connection_errors import explain
from inferd.telemetry.encryption.payload import sealer
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.tls import context
from inferd.wire.topics import OFFLINE, ONLINE, REPLAY, STATUS

CONNECT_S = 5.0
MAX_WAITING = 5_000  # messages kept until somebody takes them; the oldest go first and are counted
MAX_LEAVING = 16
TURN_S = 0.1  # how long what was sent from here, or a wish to end, may go unseen
CLOSE_S = 1.0


@dataclass(frozen=True, slots=True)
class ReceivedMessage:
    """A message; `retained` where the broker had it from earlier."""

    topic: str
    payload: bytes
    retained: bool


class Subscriber:
    """Subscribes, again after every loss. A thread of its own owns the connection; any thread may call it."""

    def __init__(self, broker: Mqtt, topics: Sequence[str], password: str = "", backoff: Backoff = Backoff()) -> None:  # noqa: B008 - frozen
        """Start to connect; returns at once.

        Args:
            broker: where it is and who we are to it.
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
        """Messages that came and were dropped because nobody took them in time."""
        self.unreadable = 0
        """Messages that were sealed with another key, altered on their way or, where we have a key, not sealed at all."""
        self._broker = broker
        self._topics = topics
        self._backoff = backoff
        self._waiting: deque[ReceivedMessage] = deque(maxlen=MAX_WAITING)
        self._leaving: deque[Message] = deque(maxlen=MAX_LEAVING)
        self._unacknowledged: set[int] = set()
        self._stop = Event()
        self._expired = Event()
        self._sealer = sealer(broker.seal_key_file)
        self._client = self._make_client(password)
        self._thread = start("mqtt-subscriber", self._run)

    def take(self) -> list[ReceivedMessage]:
        """Return what came since the last call, oldest first; never waits."""
        taken = []
        with contextlib.suppress(IndexError):
            while True:
                taken.append(self._waiting.popleft())
        return taken

    def send(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Send a message (qos 1) over the same connection, soon; never waits. The oldest of too many are lost."""
        self._leaving.append(Message(topic, payload, 1, retain))

    @property
    def leaving(self) -> int:
        """How many messages have yet to be sent."""
        return len(self._leaving)

    def close(self) -> None:
        """Send what waits, if there is a connection, and disconnect; give up after CLOSE_S. Twice is fine."""
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

    def _make_client(self, password: str) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv311, reconnect_on_failure=False)
        client.connect_timeout = CONNECT_S
        if (encryption := context(self._broker)) is not None:
            client.tls_set_context(encryption)
        if self._broker.username:
            client.username_pw_set(self._broker.username, password or None)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        return client

    def _run(self) -> None:
        failures = 0
        while not self._stop.is_set():
            was_ready = self._connect_and_hear()
            failures = 1 if was_ready else failures + 1
            self._stop.wait(self._backoff.pause_s(failures))

    def _connect_and_hear(self) -> bool:
        """Hear until the connection is lost or we are to end; return whether there was anything to hear."""
        was_ready = False
        self._unacknowledged.clear()
        try:
            self._client.connect(self._broker.host, self._broker.port, self._broker.keepalive_s)
        except ssl.SSLError as exc:
            self.why = explain(exc, self._broker.host)[0]
            return False
        except (OSError, ValueError) as exc:
            reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else exc
            self.why = f"it cannot be reached ({reason})"
            return False
        while (not self._stop.is_set() or self._has_more()) and self._turn():
            was_ready = was_ready or self.ready
        if self.ready:
            self.ready, self.why = False, "the connection was lost"
        self._client.disconnect()
        return was_ready

    def _turn(self) -> bool:
        """Send and hear once; return whether the connection lives."""
        while self.ready and self._leaving:
            message = self._leaving.popleft()
            sent = self._client.publish(message.topic, message.payload, message.qos, message.retain)
            self._unacknowledged.add(sent.mid)
        return self._client.loop(TURN_S) == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _has_more(self) -> bool:
        """Whether something has yet to leave; a broker that never answers cannot keep us."""
        return self.ready and not self._expired.is_set() and bool(self._leaving or self._unacknowledged)

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self.why = f"it refuses us ({reason.getName()})"
        else:
            client.subscribe([(topic, 1) for topic in self._topics])

    def _on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self.why = "it does not let us subscribe"
        else:
            self.ready, self.why = True, ""

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, _reason: ReasonCode, _properties: Properties
    ) -> None:
        self._unacknowledged.discard(mid)

    def _opened(self, topic: str, payload: bytes) -> bytes:
        if self._sealer is None or _is_status(topic, payload):
            return payload
        return self._sealer.open_missed(payload) if topic.endswith(f"/{REPLAY.path}") else self._sealer.open(payload)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            payload = self._opened(message.topic, bytes(message.payload))
        except LinkError:
            self.unreadable += 1
            return
        if len(self._waiting) == MAX_WAITING:
            self.lost += 1
        self._waiting.append(ReceivedMessage(message.topic, payload, message.retain))


def _is_status(topic: str, payload: bytes) -> bool:
    """Whether this is the one word of a device that is never sealed: the broker says it, too."""
    return topic.endswith(f"/{STATUS.path}") and payload in (ONLINE, OFFLINE)
