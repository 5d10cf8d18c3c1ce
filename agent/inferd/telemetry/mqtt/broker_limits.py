"""Learns which packets make a broker end the connection, so that the others can be sent. Pure but for the clock.

A broker may close the connection over a packet that is too large, a topic that its ACL denies, a retained message, QoS 1, a
subscription or the will, without a reason: MQTT 3.1.1 has no field for one. The link would then send the same packet first,
for ever. So each loss is recorded with what was under way. Topics that were under way are sent alone from then on, until
they pass. What was lost REPEATS times in a row is sent without the retain flag, then with QoS 0, then not at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from inferd.records import Message
from inferd.system.clock import Clock

REPEATS = 3
FORGET_S = 3600.0  # then it is tried again: the ACL or the limit may have been changed
MAX_TOPICS = 128
WILLS = ("a retained will", "a will that is not retained", "a will with QoS 0 that is not retained", "no will")


@dataclass(frozen=True, slots=True)
class SentPacket:
    """A PUBLISH as it should be sent.

    Attributes:
        topic: the full one.
        size_bytes: of the packet.
        qos: 0 or 1.
        retain: its flag.
        divisible: whether it is a batch of several messages, which `BatchLimit` makes smaller.
    """

    topic: str
    size_bytes: int
    qos: int
    retain: bool
    divisible: bool = False

    def __str__(self) -> str:
        return f"{self.topic} ({self.size_bytes} bytes, QoS {self.qos}{', retained' if self.retain else ''})"


@dataclass(frozen=True, slots=True)
class ConnectionLoss:
    """What was under way when the broker ended a connection.

    Attributes:
        phase: "connect" before CONNACK, "subscribe" before SUBACK, "publish" after that.
        subscription: the topic filter without an answer.
        packets: sent, without an answer.
    """

    phase: Literal["connect", "subscribe", "publish"]
    subscription: str = ""
    packets: tuple[SentPacket, ...] = ()

    def __str__(self) -> str:
        match self.phase:
            case "connect":
                return "before it answered CONNECT"
            case "subscribe":
                return f"after SUBSCRIBE to {self.subscription}"
        if not self.packets:
            return "with nothing under way"
        others = f" and {len(self.packets) - 1} others" if len(self.packets) > 1 else ""
        return f"after PUBLISH to {self.packets[0]}{others}"


class BrokerLimits:
    """What one broker does not accept. Owned by the link's thread; it outlives connections, and is forgotten after an hour.

    Attributes:
        largest_bytes: the largest packet that the broker seems to accept; 0 for no limit.
    """

    def __init__(self, clock: Clock) -> None:
        """Know of no limits."""
        self._clock = clock
        self._learned_ns = 0
        self._suspects: dict[str, int] = {}
        """Topics that were under way when a connection was lost → how often as the only one, in a row."""
        self._largest_passed = 0
        self._retained_passed = self._acknowledged = False
        self._unretained_passed = self._unacknowledged_passed = False
        self._connect_losses = 0
        self._will = self._found_will = 0
        self._checking_will = False
        self._subscribe_losses: dict[str, int] = {}
        self._reset()

    def _reset(self) -> None:
        self.largest_bytes = 0
        self._left_out: dict[str, int] = {}
        """Topic → packets from this size on are left out."""
        self._oversized: dict[str, int] = {}
        self._no_retain = self._no_qos = False
        self._will = self._found_will = 0

    def expire(self) -> None:
        """Forget what was learned long ago; one more loss is then enough to learn it again."""
        if self._learned_ns and self._clock.monotonic_ns() - self._learned_ns > FORGET_S * 1e9:
            self._suspects |= dict.fromkeys(self._left_out, REPEATS - 1)
            self._subscribe_losses = dict.fromkeys(self._subscribe_losses, REPEATS - 1)
            self._learned_ns = 0
            self._reset()

    def lost(self, loss: ConnectionLoss) -> str:
        """Record a connection that the broker ended; return what is done about it from now on, "" for nothing new."""
        match loss.phase:
            case "connect":
                learned = self._lost_at_connect()
            case "subscribe":
                learned = self._lost_at_subscribe(loss.subscription)
            case _:
                learned = self._lost_at_publish(loss.packets)
        if learned:
            self._learned_ns = self._clock.monotonic_ns()
        return learned

    def will(self, will: Message) -> Message | None:
        """Return the will in the form that the broker accepts; None for no will."""
        stage = 0 if self._checking_will else self._will
        if stage == len(WILLS) - 1:
            return None
        return msgspec.structs.replace(
            will,
            retain=will.retain and not stage,
            qos=will.qos if stage < 2 else 0,  # noqa: PLR2004 - see WILLS
        )

    def accepted(self) -> bool:
        """Record a CONNACK; return False where the connection is to be made again, to see whether the will was at fault."""
        self._connect_losses = 0
        if self._will and not self._found_will and not self._checking_will:
            self._checking_will = True
            return False
        if self._checking_will:  # the broker was only away for a while
            self._checking_will, self._will = False, 0
        return True

    def subscriptions(self, topics: Sequence[str]) -> list[str]:
        """Return the filters that the broker has not ended connections over."""
        return [topic for topic in topics if self._subscribe_losses.get(topic, 0) < REPEATS]

    def subscribed(self, topic: str) -> None:
        """Record a SUBACK."""
        self._subscribe_losses.pop(topic, None)

    def is_suspect(self, topic: str) -> bool:
        """Whether packets to this topic are to be sent alone."""
        return topic in self._suspects

    def leaves_out(self, packet: SentPacket) -> bool:
        """Whether a packet is not sent."""
        self.expire()
        from_bytes = self._left_out.get(packet.topic)
        too_large = 0 < self.largest_bytes < packet.size_bytes
        return too_large or (from_bytes is not None and packet.size_bytes >= from_bytes)

    def most_bytes(self, topic: str) -> int:
        """Return the largest packet to a topic; 0 for no limit."""
        limits = [one for one in (self.largest_bytes, self._left_out.get(topic, 1) - 1) if one > 0]
        return min(limits, default=0)

    def shaped(self, message: Message) -> Message:
        """Return a message with the retain flag and QoS that the broker accepts."""
        if not (self._no_retain or self._no_qos):
            return message
        return msgspec.structs.replace(
            message,
            retain=message.retain and not self._no_retain,
            qos=0 if self._no_qos else message.qos,
        )

    def passed(self, packet: SentPacket) -> None:
        """Record that the broker took a packet and kept the connection."""
        self._suspects.pop(packet.topic, None)
        self._largest_passed = max(self._largest_passed, packet.size_bytes)
        if packet.qos:
            self._acknowledged = self._acknowledged or not self._no_qos
            self._unacknowledged_passed = self._no_qos
        if packet.retain:
            self._retained_passed = self._retained_passed or not self._no_retain
            self._unretained_passed = self._no_retain

    def _lost_at_connect(self) -> str:
        if self._checking_will:
            self._checking_will, self._found_will = False, self._will
            return f"it ends the connection over {WILLS[0]}; connecting with {WILLS[self._will]}"
        self._connect_losses += 1
        if self._connect_losses >= REPEATS:
            self._will = (self._will + 1) % len(WILLS)  # all were tried: from the beginning
            self._connect_losses = REPEATS - 1 if self._will else 0
        return ""

    def _lost_at_subscribe(self, topic: str) -> str:
        losses = self._subscribe_losses[topic] = self._subscribe_losses.get(topic, 0) + 1
        if losses < REPEATS:
            return ""
        return f"it ended the connection {losses} times after SUBSCRIBE to {topic}; not subscribing to it"

    def _lost_at_publish(self, packets: Sequence[SentPacket]) -> str:
        packets = [packet for packet in packets if not packet.divisible]
        if len(packets) != 1:
            for packet in packets[: MAX_TOPICS - len(self._suspects)]:
                self._suspects.setdefault(packet.topic, 0)
            return ""
        packet = packets[0]
        if packet.topic not in self._suspects and len(self._suspects) >= MAX_TOPICS:
            return ""
        losses = self._suspects[packet.topic] = self._suspects.get(packet.topic, 0) + 1
        if losses < REPEATS:
            return ""
        return f"it ended the connection {losses} times after PUBLISH to {packet}; {self._adapt(packet)}"

    def _adapt(self, packet: SentPacket) -> str:
        """Change what is sent so that the connection may live, the smallest loss first; return what was changed."""
        if packet.retain and not self._retained_passed and not self._no_retain:
            self._no_retain = True
            return "sending without the retain flag"
        if packet.qos and not self._acknowledged and not self._no_qos:
            self._no_qos = True
            return "sending with QoS 0"
        self._no_retain = self._no_retain and self._unretained_passed
        self._no_qos = self._no_qos and self._unacknowledged_passed
        del self._suspects[packet.topic]
        again = packet.topic in self._left_out
        if again or len(self._left_out) < MAX_TOPICS:
            self._left_out[packet.topic] = 0 if again else packet.size_bytes
        if 0 < self._largest_passed < packet.size_bytes:
            self._oversized[packet.topic] = packet.size_bytes
        if len(self._oversized) > 1:
            self.largest_bytes = min(self._oversized.values()) - 1
            return f"leaving out packets above {self.largest_bytes} bytes"
        return "leaving it out" if again else f"leaving out packets to it of {packet.size_bytes} bytes and more"
