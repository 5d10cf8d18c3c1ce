"""One connection to the broker, from connect to loss. The only file that imports paho-mqtt.

paho is used for the protocol alone: its own queue has no bound, keeps the oldest where it is given one, and ignores its
window on reconnect (paho-mqtt 2.2.0, measured November 2026). So every connection gets a client of its own, at most
`WINDOW` messages wait in it for their acknowledgement, and what was not delivered is asked back when it ends.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from typing import NoReturn

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from inferd.config.settings import Mqtt
from inferd.errors import LinkError
from inferd.records import Incoming, Message
from inferd.system.clock import Clock
from inferd.system.wakeup import Wakeup
from inferd.telemetry.connection_errors import (
    BrokerRefused,
    ConnectionEnded,
    TakenOver,
    explain_connack,
    explain_greeting,
    explain_os_error,
    explain_tls_error,
)
from inferd.telemetry.mqtt.broker_limits import BrokerLimits, ConnectionLoss, SentPacket
from inferd.telemetry.mqtt.packet_cutter import PacketCutter
from inferd.telemetry.mqtt.socket_options import tuned
from inferd.telemetry.mqtt.tls import context
from inferd.telemetry.outgoing.batches import Batch, BatchBounds, Encrypt, Parcel, bounds_within, packet_bytes
from inferd.wire.topics import REPLAY, full_topic

CONNECT_S = 5.0
WINDOW = 16
FOR_LIVE = 2  # of the window, kept free of missed messages
LEAST_ACKNOWLEDGE_S = 20.0
SETTLE_S = 1.0  # a broker that closes over a QoS 0 message does so within this time
MAX_PACKET_BYTES = 96 << 10  # of what comes in: the longest topic of MQTT, and a snapshot; the rest is cut off
MAX_RECEIVED = 256
CLOSED = "it closed the connection"
_VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}


class CuttingClient(Client):
    """A paho client that never holds more than MAX_PACKET_BYTES of an incoming packet."""

    def __init__(self, client_id: str, version: str, transport: str) -> None:
        """Speak this version of MQTT over "tcp" or "websockets"."""
        super().__init__(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=_VERSIONS[version],
            reconnect_on_failure=False,
            transport="websockets" if transport == "websockets" else "tcp",
        )
        self.cutter = PacketCutter(MAX_PACKET_BYTES)

    def _sock_recv(self, bufsize: int) -> bytes:
        """Read from the socket; all of paho reads through this method (2.1.0 and 2.2.0)."""
        if len(getattr(self._sock, "_readbuffer", b"")) > 2 * MAX_PACKET_BYTES:
            raise ConnectionError("a WebSocket frame is too large")  # paho's wrapper holds the whole frame
        return self.cutter.read(super()._sock_recv, bufsize)


class Connection:
    """A connection to the broker. Owned by the thread that opened it, which keeps calling `turn`.

    Attributes:
        accepted: whether the broker has answered CONNECT.
        subscribed: whether it has answered all SUBSCRIBEs.
        received: messages on the topics we subscribed to, oldest first; the owner empties it.
        acknowledged: what the broker has acknowledged; the owner empties it.
        complaints: what the broker does not let us do.
        rejected: messages that it did not accept, or that were left out; the owner sets it to 0.
        unreadable: packets that came and could not be read, or were too many.
    """

    def __init__(
        self,
        settings: Mqtt,
        device: str,
        password: str,
        will: Message | None,
        clock: Clock,
        subscriptions: Sequence[str] = (),
        encrypt: Encrypt | None = None,
        *,
        client_id: str = "",
        limits: BrokerLimits | None = None,
    ) -> None:
        """Open a TCP connection and send CONNECT; takes at most CONNECT_S and what the resolver needs.

        Args:
            settings: where the broker is.
            device: this device's id, for relative topics.
            password: for the user name in `settings`; "" for none.
            will: what the broker publishes when it loses us; None for nothing.
            clock: for how long an acknowledgement takes.
            subscriptions: whole topics to subscribe to.
            encrypt: applied to a message right before it is sent.
            client_id: "" lets the broker choose one.
            limits: what earlier connections have shown of this broker.

        Raises:
            LinkError: nothing answers, or there is no route.
        """
        self.accepted = False
        self.subscribed = False
        self.received: list[Incoming] = []
        self.acknowledged: list[Parcel] = []
        self.complaints: set[str] = set()
        self.rejected = 0
        self.unreadable = 0
        self._settings = settings
        self._device = device
        self._clock = clock
        self._encrypt = encrypt
        self._limits = limits or BrokerLimits(clock)
        self._subscriptions = deque(self._limits.subscriptions(subscriptions))
        self._largest_bytes = 0
        self._refusal = ""
        self._ended = ""
        self._unacknowledged: dict[int, tuple[Parcel, SentPacket, int]] = {}
        self._unsettled: deque[tuple[SentPacket, int]] = deque(maxlen=MAX_RECEIVED)
        """QoS 0 packets and when they were sent."""
        self._held: tuple[Parcel, Message, SentPacket] | None = None
        self._alone = False
        self._client = self._make_client(client_id, password, will)
        self._selector = selectors.DefaultSelector()
        self._socket = self._open()
        self._selector.register(self._socket, selectors.EVENT_READ)

    @property
    def address(self) -> str:
        """The broker, as errors name it."""
        return f"broker {self._settings.host}:{self._settings.port}"

    @property
    def bounds(self) -> BatchBounds:
        """How much one batch of missed messages may hold."""
        topic = full_topic(self._settings.prefix, self._device, REPLAY.path)
        limits = [one for one in (self._largest_bytes, self._limits.most_bytes(topic)) if one]
        return bounds_within(min(limits, default=0), topic, self._device if self._encrypt else "")

    @property
    def loss(self) -> ConnectionLoss:
        """What is under way, in case the broker has ended the connection."""
        if not self.accepted:
            return ConnectionLoss("connect")
        if self._subscriptions:
            return ConnectionLoss("subscribe", self._subscriptions[0])
        return ConnectionLoss(
            "publish",
            packets=(
                *(packet for _, packet, _ in self._unacknowledged.values()),
                *(packet for packet, _ in self._unsettled),
            ),
        )

    def watch(self, wakeup: Wakeup) -> None:
        """Let `turn` return early when `wakeup` is set."""
        self._selector.register(wakeup, selectors.EVENT_READ, wakeup)

    def turn(self, timeout_s: float) -> None:
        """Wait for the network, at most `timeout_s`, then read and write what is possible.

        Raises:
            BrokerRefused: the broker refuses us.
            LinkError: the connection is lost.
        """
        self._raise_if_over()
        writing = selectors.EVENT_WRITE if self._client.want_write() else 0
        self._selector.modify(self._socket, selectors.EVENT_READ | writing)
        decrypted = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0
        if decrypted:
            self._guarded(self._client.loop_read)
        for key, events in self._selector.select(0.0 if decrypted else timeout_s):
            if isinstance(key.data, Wakeup):
                key.data.clear()
                continue
            if events & selectors.EVENT_READ:
                self._guarded(self._client.loop_read)
            if events & selectors.EVENT_WRITE:
                self._guarded(self._client.loop_write)
        self._guarded(self._client.loop_misc)
        self._settle()
        self._raise_if_over()

    def send(self, parcel: Parcel) -> bool:
        """Send a parcel; False where the connection was lost over it, which the next `turn` raises."""
        message = parcel.packed(self._encrypt)
        if not message.absolute:
            topic = full_topic(self._settings.prefix, self._device, message.topic)
            message = Message(topic, message.payload, message.qos, message.retain, correlation=message.correlation)
        divisible = isinstance(parcel, Batch) and len(parcel.messages) > 1
        packet = SentPacket(message.topic, packet_bytes(message), message.qos, message.retain, divisible)
        if 0 < self._largest_bytes < packet.size_bytes:
            return self._leave_out(
                parcel, f"it accepts no packet above {self._largest_bytes} bytes; raise its limit to 20 kB"
            )
        if self._limits.leaves_out(packet):
            return self._leave_out(parcel)
        if self._limits.is_suspect(packet.topic) and not self._is_settled():
            self._held = parcel, message, packet
            return True
        return self._transmit(parcel, message, packet)

    def has_room(self) -> bool:
        """Whether the network took everything so far; what it does not take must not pile up in paho."""
        return not (self._ended or self._client.want_write() or self._held or self._alone)

    def has_window(self, left_over: int = 0) -> bool:
        """Whether one more message may wait for its acknowledgement, with `left_over` more after it."""
        return len(self._unacknowledged) < WINDOW - left_over

    def is_delivered(self) -> bool:
        """Whether the broker has acknowledged all QoS 1 messages, and the network taken the rest."""
        return not (self._unacknowledged or self._held or self._client.want_write())

    def undelivered(self) -> list[Parcel]:
        """Return what the broker has not acknowledged, oldest first."""
        held = [self._held[0]] if self._held else []
        return [*(parcel for parcel, _, _ in self._unacknowledged.values()), *held]

    def disconnect(self) -> None:
        """Send DISCONNECT, so that the broker does not publish the will."""
        self._guarded(self._client.disconnect)

    def close(self) -> None:
        """Drop the connection as it is. Idempotent."""
        self._selector.close()
        self._socket.close()

    def _make_client(self, client_id: str, password: str, will: Message | None) -> CuttingClient:
        client = CuttingClient(client_id, self._settings.version, self._settings.transport)
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages = WINDOW
        if self._settings.transport == "websockets":
            client.ws_set_options(self._settings.websocket_path)
        if self._settings.username:
            client.username_pw_set(self._settings.username, password or None)
        if (encryption := context(self._settings)) is not None:
            client.tls_set_context(encryption)
        if will is not None and (will := self._limits.will(will)) is not None:
            client.will_set(
                full_topic(self._settings.prefix, self._device, will.topic), will.payload, will.qos, will.retain
            )
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _open(self) -> socket.socket:
        properties = None
        if self._settings.version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's
            properties.MaximumPacketSize = MAX_PACKET_BYTES
        try:
            self._client.connect(
                self._settings.host, self._settings.port, self._settings.keepalive_s, properties=properties
            )
            return tuned(self._client.socket(), self._settings.keepalive_s)
        except ssl.SSLError as exc:
            self._selector.close()
            why, waiting_helps = explain_tls_error(exc, self._settings.host)
            raise (LinkError if waiting_helps else BrokerRefused)(self.address, why) from exc
        except Exception as exc:
            self._selector.close()
            raise LinkError(self.address, explain_os_error(exc, CONNECT_S)) from exc

    def _transmit(self, parcel: Parcel, message: Message, packet: SentPacket) -> bool:
        self._alone = self._limits.is_suspect(packet.topic)
        shaped = self._limits.shaped(message)
        properties = self._properties(message)
        try:
            sent = self._client.publish(shaped.topic, shaped.payload, shaped.qos, shaped.retain, properties)
        except ValueError as exc:  # a topic that MQTT has none of
            return self._leave_out(parcel, f"{shaped.topic!r} cannot be sent ({exc})")
        now_ns = self._clock.monotonic_ns()
        if shaped.qos:
            self._unacknowledged[sent.mid] = (parcel, packet, now_ns)
            return True  # it comes back with `undelivered`
        self._unsettled.append((packet, now_ns))
        taken = sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS
        if packet.qos and taken:
            self.acknowledged.append(parcel)  # this broker acknowledges nothing
        return taken or bool(packet.qos)

    def _is_settled(self) -> bool:
        return not (self._unacknowledged or self._unsettled or self._client.want_write())

    def _settle(self) -> None:
        """Count QoS 0 packets as passed that the connection has outlived; then send what was held for them."""
        limit_ns = self._clock.monotonic_ns() - round(SETTLE_S * 1e9)
        while self._unsettled and self._unsettled[0][1] < limit_ns:
            self._limits.passed(self._unsettled.popleft()[0])
        if not (self._alone or self._held) or not self._is_settled():
            return
        self._alone = False
        if self._held is not None:
            held, self._held = self._held, None
            self._transmit(*held)

    def _properties(self, message: Message) -> Properties | None:
        if not message.correlation or self._settings.version != "5":
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
        properties.CorrelationData = message.correlation
        return properties

    def _guarded(self, step: Callable[[], object]) -> None:
        """Let paho work; whatever it raises over a packet ends this connection, never the process."""
        try:
            step()
        except Exception as exc:  # noqa: BLE001 - struct.error, IndexError, UnicodeDecodeError, RecursionError ...: paho checks little
            self.unreadable += 1
            self._ended = f"it sent a packet that cannot be read: {type(exc).__name__}"

    def _raise_if_over(self) -> None:
        if self._refusal:
            why, waiting_helps = explain_connack(self._refusal, self._settings)
            raise (LinkError if waiting_helps else BrokerRefused)(self.address, why)
        if not self.accepted and (why := explain_greeting(self._client.cutter.greeting, self._settings)):
            raise BrokerRefused(self.address, why)
        if self._ended:
            self._raise_ended()
        if self._unacknowledged:
            _, _, sent_ns = next(iter(self._unacknowledged.values()))
            waited_s = (self._clock.monotonic_ns() - sent_ns) / 1e9
            if waited_s > max(LEAST_ACKNOWLEDGE_S, self._settings.keepalive_s):
                raise LinkError(self.address, f"no PUBACK for {waited_s:.0f} s; reconnecting")

    def _raise_ended(self) -> NoReturn:
        if self._ended == "Session taken over":
            raise TakenOver(self.address, "another client has connected with our client id")
        hint = ""
        if not self.accepted:
            hint = "; check mqtt.port, mqtt.tls and mqtt.version"
            hint += ", and whether it wants a certificate (mqtt.cert_file)" if self._settings.tls else ""
        why = f"the connection was lost ({self._ended}) {self.loss}; reconnecting{hint}"
        raise ConnectionEnded(self.address, why, self.loss) if self._ended == CLOSED else LinkError(self.address, why)

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._refusal = reason.getName()
            return
        self.accepted = True
        self._largest_bytes = int(getattr(properties, "MaximumPacketSize", 0))  # paho has no attribute where none came
        self._subscribe_next()

    def _subscribe_next(self) -> None:
        """Subscribe to one filter after the other, so that one which ends the connection is known."""
        if not self._subscriptions:
            self.subscribed = True
        elif self._settings.version == "5":
            # As published: so that a request sent with the retain flag shows it, and is refused.
            self._client.subscribe(self._subscriptions[0], options=SubscribeOptions(qos=1, retainAsPublished=True))
        else:
            self._client.subscribe(self._subscriptions[0], qos=1)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._ended = CLOSED if reason.getName() == "Unspecified error" else reason.getName()

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        if (found := self._unacknowledged.pop(mid, None)) is None:
            return
        parcel, packet, _ = found
        self.acknowledged.append(parcel)
        self._limits.passed(packet)
        if reason.is_failure:  # MQTT 5 only
            self._reject(parcel, f"it rejected a publish ({reason.getName()}); check its ACL and size limits")

    def _leave_out(self, parcel: Parcel, why: str = "") -> bool:
        """Count a parcel as done without sending it."""
        self._reject(parcel, why)
        self.acknowledged.append(parcel)
        return True

    def _reject(self, parcel: Parcel, why: str) -> None:
        if why and len(self.complaints) < MAX_RECEIVED:
            self.complaints.add(why)
        self.rejected += len(parcel.messages) if isinstance(parcel, Batch) else 1

    def _on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if not self._subscriptions:
            return  # an answer to nothing
        topic = self._subscriptions.popleft()
        self._limits.subscribed(topic)
        if any(reason.is_failure for reason in reasons):
            self.complaints.add(f"it denies the subscription to {topic}; check its ACL")
        self._subscribe_next()

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if len(self.received) >= MAX_RECEIVED:
            self.unreadable += 1
            return
        try:
            # paho has no attribute for a property that did not come
            response_topic = str(getattr(message.properties, "ResponseTopic", ""))
            correlation = bytes(getattr(message.properties, "CorrelationData", b""))
            topic = message.topic  # UnicodeDecodeError where it is not UTF-8
            self.received.append(Incoming(topic, bytes(message.payload), message.retain, response_topic, correlation))
        except Exception:  # noqa: BLE001 - the broker's doing, whatever it is: the packet is of no use
            self.unreadable += 1
