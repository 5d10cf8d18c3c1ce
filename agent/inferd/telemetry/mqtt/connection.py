"""One connection to the broker, from connect to loss. The only link file that imports paho-mqtt.

paho is used for the protocol alone: its own queue has no bound, keeps the oldest where it is given one, and ignores its
window on reconnect (paho-mqtt 2.2.0, measured November 2026). So every connection gets a client of its own, at most
`WINDOW` messages wait in it for their acknowledgement, and what was not delivered is asked back when it ends.
"""

from __future__ import annotations

import selectors
import socket
import ssl
from collections.abc import Sequence

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
from inferd.telemetry.connection_errors import BrokerRefused, TakenOver, explain, mend
from inferd.telemetry.mqtt.socket_options import tuned
from inferd.telemetry.mqtt.tls import context
from inferd.telemetry.outgoing.batches import Batch, BatchBounds, Parcel, Seal, hold_within, packet_bytes
from inferd.wire.topics import REPLAY, client_id, full_topic

CONNECT_S = 5.0
WINDOW = 16
FOR_LIVE = 2  # places of the window that what was missed does not take
LEAST_ACKNOWLEDGE_S = 20.0
MAX_HEARD_BYTES = 20_001  # of a payload; the rest is cut off, and what is so long is nothing we act on
MAX_HEARD = 256
TAKEN_OVER = "Session taken over"
_CREDENTIALS = ("Bad user name or password", "Not authorized")
_VERSIONS = {"3.1.1": MQTTProtocolVersion.MQTTv311, "5": MQTTProtocolVersion.MQTTv5}


class Connection:
    """A connection to the broker. Owned by the thread that opened it, which keeps calling `turn`.

    Attributes:
        accepted: whether the broker has let us in.
        heard: what came on the topics we subscribed to, oldest first; whoever takes it empties it.
        acknowledged: what the broker has taken; whoever takes it empties it.
        complaints: what the broker does not let us do.
        turned_away: messages that it did not take, or told before that it would not; whoever counts them sets it to 0.
    """

    def __init__(
        self,
        settings: Mqtt,
        device: str,
        password: str,
        will: Message,
        clock: Clock,
        listens: Sequence[str] = (),
        seal: Seal | None = None,
    ) -> None:
        """Open a TCP connection and ask to be accepted; takes at most CONNECT_S and what the resolver needs.

        Args:
            settings: where the broker is.
            device: this device's id.
            password: for the user name in `settings`; "" for none.
            will: what the broker says when it loses us.
            clock: for how long an acknowledgement takes.
            listens: whole topics to subscribe to.
            seal: what is done to a message right before it leaves.

        Raises:
            LinkError: nobody is there, or there is no way to it.
        """
        self.accepted = False
        self.heard: list[Incoming] = []
        self.acknowledged: list[Parcel] = []
        self.complaints: set[str] = set()
        self.turned_away = 0
        self._largest_bytes = 0
        self._settings = settings
        self._device = device
        self._clock = clock
        self._listens = listens
        self._seal = seal
        self._refusal = ""
        self._ended = ""
        self._unacknowledged: dict[int, tuple[Parcel, int]] = {}
        self._client = self._make_client(password, will)
        self._selector = selectors.DefaultSelector()
        self._socket = self._open()
        self._selector.register(self._socket, selectors.EVENT_READ)

    @property
    def where(self) -> str:
        """The broker, as errors name it."""
        return f"broker {self._settings.host}:{self._settings.port}"

    @property
    def hold(self) -> BatchBounds:
        """How much of what was missed one message may hold."""
        topic = full_topic(self._settings.prefix, self._device, REPLAY.path)
        return hold_within(self._largest_bytes, topic, self._device if self._seal else "")

    def watch(self, wakeup: Wakeup) -> None:
        """Let `turn` return early when `wakeup` is set."""
        self._selector.register(wakeup, selectors.EVENT_READ, wakeup)

    def turn(self, timeout_s: float) -> None:
        """Wait for something to do, at most `timeout_s`, and do it.

        Raises:
            Refused: the broker does not want us.
            LinkError: the connection is lost.
        """
        self._raise_if_over()
        writing = selectors.EVENT_WRITE if self._client.want_write() else 0
        self._selector.modify(self._socket, selectors.EVENT_READ | writing)
        decrypted = isinstance(self._socket, ssl.SSLSocket) and self._socket.pending() > 0
        if decrypted:
            self._client.loop_read()
        for key, events in self._selector.select(0.0 if decrypted else timeout_s):
            if isinstance(key.data, Wakeup):
                key.data.clear()
                continue
            if events & selectors.EVENT_READ:
                self._client.loop_read()
            if events & selectors.EVENT_WRITE:
                self._client.loop_write()
        self._client.loop_misc()
        self._raise_if_over()

    def send(self, parcel: Parcel) -> bool:
        """Hand a parcel over; False where the connection was lost over it, which the next `turn` tells."""
        message = parcel.packed(self._seal)
        topic = message.topic
        if not message.absolute:
            topic = full_topic(self._settings.prefix, self._device, topic)
        if 0 < self._largest_bytes < packet_bytes(topic, message):
            self._turn_away(parcel, f"it takes no packet above {self._largest_bytes} bytes; raise its limit to 20 kB")
            self.acknowledged.append(parcel)
            return True
        sent = self._client.publish(topic, message.payload, message.qos, message.retain, self._properties(message))
        if message.qos:
            self._unacknowledged[sent.mid] = (parcel, self._clock.monotonic_ns())
            return True  # it comes back with `undelivered`
        return sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def has_room(self) -> bool:
        """Whether the network took everything so far; what it does not take must not pile up in paho."""
        return not self._ended and not self._client.want_write()

    def has_window(self, left_over: int = 0) -> bool:
        """Whether one more message may wait for its acknowledgement, with so many places left over for others."""
        return len(self._unacknowledged) < WINDOW - left_over

    def is_delivered(self) -> bool:
        """Whether the broker has acknowledged all that wants it, and the network taken the rest."""
        return not self._unacknowledged and not self._client.want_write()

    def undelivered(self) -> list[Parcel]:
        """Return what the broker has not acknowledged, oldest first."""
        return [parcel for parcel, _ in self._unacknowledged.values()]

    def leave(self) -> None:
        """Tell the broker that we go, so that it keeps the will to itself."""
        self._client.disconnect()

    def close(self) -> None:
        """Drop the connection as it is. Twice is fine."""
        self._selector.close()
        self._socket.close()

    def _make_client(self, password: str, will: Message) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id(self._settings.prefix, self._device),
            protocol=_VERSIONS[self._settings.version],
            reconnect_on_failure=False,
        )
        client.connect_timeout = CONNECT_S
        client.max_inflight_messages = WINDOW
        if self._settings.username:
            client.username_pw_set(self._settings.username, password or None)
        if (encryption := context(self._settings)) is not None:
            client.tls_set_context(encryption)
        will_topic = full_topic(self._settings.prefix, self._device, will.topic)
        client.will_set(will_topic, will.payload, will.qos, will.retain)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        return client

    def _open(self) -> socket.socket:
        try:
            self._client.connect(self._settings.host, self._settings.port, self._settings.keepalive_s)
            return tuned(self._client.socket(), self._settings.keepalive_s)
        except ssl.SSLError as exc:
            self._selector.close()
            why, waiting_helps = explain(exc, self._settings.host)
            raise (LinkError if waiting_helps else BrokerRefused)(self.where, why) from exc
        except (OSError, ValueError) as exc:
            self._selector.close()
            raise LinkError(self.where, mend(exc, CONNECT_S)) from exc

    def _properties(self, message: Message) -> Properties | None:
        if not message.correlation or self._settings.version != "5":
            return None
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho's
        properties.CorrelationData = message.correlation
        return properties

    def _raise_if_over(self) -> None:
        if self._refusal in _CREDENTIALS:
            user = repr(self._settings.username) if self._settings.username else "clients without a user name"
            raise BrokerRefused(
                self.where, f"it refuses {user} ({self._refusal}); mend mqtt.username and mqtt.password_file"
            )
        if self._refusal:
            raise BrokerRefused(self.where, f"it refuses us: {self._refusal}")
        if self._ended == TAKEN_OVER:
            raise TakenOver(self.where, "another client has taken our place")
        if self._ended:
            hint = "; does it want a certificate (mqtt.cert_file)?" if self._settings.tls and not self.accepted else ""
            raise LinkError(self.where, f"the connection was lost ({self._ended}); it is tried again without end{hint}")
        if self._unacknowledged:
            _, sent_ns = next(iter(self._unacknowledged.values()))
            waited_s = (self._clock.monotonic_ns() - sent_ns) / 1e9
            if waited_s > max(LEAST_ACKNOWLEDGE_S, self._settings.keepalive_s):
                raise LinkError(
                    self.where, f"it has acknowledged nothing for {waited_s:.0f} s; a new connection is made"
                )

    def _on_connect(
        self,
        client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._refusal = reason.getName() if reason.is_failure else ""
        if reason.is_failure:
            return
        self.accepted = True
        self._largest_bytes = int(getattr(properties, "MaximumPacketSize", 0))  # paho has no attribute where none came
        if self._listens and self._settings.version == "5":
            # As published: so that a request sent with the retain flag shows it, and is refused.
            client.subscribe([(topic, SubscribeOptions(qos=1, retainAsPublished=True)) for topic in self._listens])
        elif self._listens:
            client.subscribe([(topic, 1) for topic in self._listens])

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        _flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        self._ended = reason.getName()

    def _on_publish(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _properties: Properties
    ) -> None:
        if (found := self._unacknowledged.pop(mid, None)) is None:
            return
        self.acknowledged.append(found[0])
        if reason.is_failure:  # only MQTT 5 says so
            self._turn_away(
                found[0], f"it does not take all that we say ({reason.getName()}); mend its ACL or its limits"
            )

    def _turn_away(self, parcel: Parcel, why: str) -> None:
        self.complaints.add(why)
        self.turned_away += len(parcel.messages) if isinstance(parcel, Batch) else 1

    def _on_subscribe(
        self, _client: Client, _userdata: object, _mid: int, reasons: list[ReasonCode], _properties: Properties | None
    ) -> None:
        if any(reason.is_failure for reason in reasons):
            self.complaints.add("it does not let us hear our requests; mend its ACL")

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if len(self.heard) >= MAX_HEARD:
            return
        # paho has no attribute for a property that did not come
        response_topic = str(getattr(message.properties, "ResponseTopic", ""))
        correlation = bytes(getattr(message.properties, "CorrelationData", b""))
        payload = bytes(message.payload[:MAX_HEARD_BYTES])
        self.heard.append(Incoming(message.topic, payload, message.retain, response_topic, correlation))
