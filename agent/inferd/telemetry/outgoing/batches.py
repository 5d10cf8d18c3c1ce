"""One MQTT message as it leaves: a live message, or a batch of missed ones. Pure but for the clock of `BatchLimit`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from inferd.records import Message
from inferd.system.clock import Clock
from inferd.telemetry.spool.record_codec import Record
from inferd.wire.replay import encode_missed
from inferd.wire.topics import REPLAY

MOST_TOGETHER = 64
BATCH_BYTES = 20_000  # what any message of ours stays under; brokers may be set to take no more
WRAP_BYTES = 25  # of a batch around each message, and its brackets: {"topic":"","message":},
ENCRYPT_BYTES = 192  # of a sealed message beside what it seals and its device: the header again, nonce and tag
PACKET_BYTES = 32  # of an MQTT packet beside topic, payload and correlation data
LOSSES = 2  # in a row, with no batch delivered in between: one alone may be the network's doing
MOST_HALVINGS = 15  # 20 kB is nothing after so many: each message goes alone
FORGET_S = 3600.0

Encrypt = Callable[[Message], Message]
Piece = TypeVar("Piece", Message, Record)


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """A live message on its way.

    Attributes:
        message: what is sent.
        number: of its record in the spool, kept until it is delivered; 0 for a message in memory only.
        since_ns: when it was published, monotonic.
    """

    message: Message
    number: int = 0
    since_ns: int = 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """Numbers of its records in the spool."""
        return (self.number,) if self.number else ()

    def packed(self, encrypt: Encrypt | None) -> Message:
        """Return the message for the broker."""
        return encrypt(self.message) if encrypt else self.message


@dataclass(frozen=True, slots=True)
class Batch:
    """Missed messages, oldest first, on their way to `replay`; never sent to a live topic.

    Attributes:
        messages: as they would have been sent live.
        numbers: of their records in the spool; empty for messages in memory only.
    """

    messages: tuple[Message, ...]
    numbers: tuple[int, ...] = ()

    def packed(self, encrypt: Encrypt | None) -> Message:
        """Return the message for the broker; each message is encrypted by itself, so that a repetition can be detected."""
        return REPLAY.message(encode_missed([encrypt(one) for one in self.messages] if encrypt else self.messages))


Parcel = TimedMessage | Batch


@dataclass(frozen=True, slots=True)
class BatchBounds:
    """How much a batch may hold.

    Attributes:
        most_bytes: of its payload; a single message that is larger goes alone.
        encrypted_by: the device that encrypts each message; "" for no encryption.
    """

    most_bytes: int = BATCH_BYTES
    encrypted_by: str = ""

    def shrunk(self, halvings: int) -> BatchBounds:
        """Return bounds that were halved so many times."""
        return replace(self, most_bytes=self.most_bytes >> halvings)

    def wants_bytes(self, one: Message | Record) -> int:
        """Return the size of a message in a batch; up to 30 bytes too much where it is encrypted."""
        size_bytes = len(one.payload)
        if self.encrypted_by:
            size_bytes = size_bytes * 4 // 3 + ENCRYPT_BYTES + len(self.encrypted_by)
        return WRAP_BYTES + len(one.topic) + size_bytes


def together(take: Callable[[Callable[[Piece], bool]], Piece | None], bounds: BatchBounds) -> list[Piece]:
    """Return the messages of one batch.

    Args:
        take: returns the next message if the function that it is given says that it fits; else None.
        bounds: how much the batch may hold.
    """
    taken: list[Piece] = []
    left_bytes = bounds.most_bytes

    def fits(one: Piece) -> bool:
        return not taken or bounds.wants_bytes(one) <= left_bytes

    while len(taken) < MOST_TOGETHER and (one := take(fits)) is not None:
        taken.append(one)
        left_bytes -= bounds.wants_bytes(one)
    return taken


def packet_bytes(message: Message) -> int:
    """Return at least what a message with a full topic takes as an MQTT packet."""
    return PACKET_BYTES + len(message.topic) + len(message.payload) + len(message.correlation)


def batch_of(records: list[Record]) -> Batch:
    """Return records of the spool as a batch."""
    messages = tuple(Message(record.topic, record.payload, 1) for record in records)
    return Batch(messages, tuple(record.number for record in records))


def bounds_within(largest_bytes: int, topic: str, encrypted_by: str) -> BatchBounds:
    """Return how much a batch to `topic` may hold if no packet may exceed `largest_bytes`; 0 for no limit."""
    most_bytes = largest_bytes - packet_bytes(Message(topic, b"")) if largest_bytes else BATCH_BYTES
    return BatchBounds(max(0, min(BATCH_BYTES, most_bytes)), encrypted_by)


class BatchLimit:
    """Makes batches smaller where the connection is lost over them time and again: a broker may close it over large packets.

    For one thread.
    """

    def __init__(self, clock: Clock) -> None:
        """Start without a limit."""
        self._clock = clock
        self._losses = 0
        self._halvings = 0
        self._lost_ns = 0

    def lost(self) -> None:
        """Record that the connection was lost with batches in flight."""
        self._lost_ns = self._clock.monotonic_ns()
        self._losses += 1
        if self._losses >= LOSSES:
            self._halvings = min(self._halvings + 1, MOST_HALVINGS)

    def delivered(self) -> None:
        """Record that a batch was acknowledged."""
        self._losses = 0

    def halvings(self) -> int:
        """Return how often to halve a batch; 0 again an hour after the last loss."""
        if self._halvings and self._clock.monotonic_ns() - self._lost_ns > FORGET_S * 1e9:
            self._halvings = 0
        return self._halvings
