"""What leaves as one MQTT message: a message of its moment, or a batch of what was missed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

from inferd.records import Message
from inferd.telemetry.spool.record_codec import Record
from inferd.wire.replay import encode_missed
from inferd.wire.topics import REPLAY

MOST_TOGETHER = 64
BATCH_BYTES = 20_000  # what any message of ours stays under; brokers may be set to take no more
FRAME_BYTES = 25  # of a batch around each message, and its brackets: {"topic":"","message":},
SEAL_BYTES = 192  # of a sealed message beside what it seals and its device: the header again, nonce and tag
PACKET_BYTES = 32  # of an MQTT packet beside topic, payload and correlation data

Seal = Callable[[Message], Message]
Piece = TypeVar("Piece", Message, Record)


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """A message on its way, at its moment.

    Attributes:
        message: what is sent.
        number: of its record in the spool, which keeps it until it is delivered; 0 where it is in memory only.
        since_ns: when it was published, monotonic.
    """

    message: Message
    number: int = 0
    since_ns: int = 0

    @property
    def numbers(self) -> tuple[int, ...]:
        """Of its records in the spool."""
        return (self.number,) if self.number else ()

    def packed(self, seal: Seal | None) -> Message:
        """Return what the broker gets."""
        return seal(self.message) if seal else self.message


@dataclass(frozen=True, slots=True)
class Batch:
    """Messages that have missed their moment, oldest first, on their way to `replay`: never to a live topic.

    Attributes:
        messages: each as it would have been.
        numbers: of their records in the spool; none where they are in memory only.
    """

    messages: tuple[Message, ...]
    numbers: tuple[int, ...] = ()

    def packed(self, seal: Seal | None) -> Message:
        """Return what the broker gets; each message is sealed by itself, so that each can be told from a repetition."""
        return REPLAY.message(encode_missed([seal(one) for one in self.messages] if seal else self.messages))


Parcel = TimedMessage | Batch


@dataclass(frozen=True, slots=True)
class BatchBounds:
    """How much a batch takes.

    Attributes:
        most_bytes: of its payload as it leaves; a single message that is larger goes alone.
        sealed_by: the device that will seal each of its messages; "" where none will.
    """

    most_bytes: int = BATCH_BYTES
    sealed_by: str = ""

    def shrunk(self, halvings: int) -> BatchBounds:
        """Return one that takes half as much, so many times."""
        return replace(self, most_bytes=self.most_bytes >> halvings)

    def wants_bytes(self, one: Message | Record) -> int:
        """Return what a message takes of a batch; sealed, up to 30 bytes more than it will."""
        size_bytes = len(one.payload)
        if self.sealed_by:
            size_bytes = size_bytes * 4 // 3 + SEAL_BYTES + len(self.sealed_by)
        return FRAME_BYTES + len(one.topic) + size_bytes


def together(take: Callable[[Callable[[Piece], bool]], Piece | None], hold: BatchBounds) -> list[Piece]:
    """Return what leaves in one batch.

    Args:
        take: gives the next message if it fits, of which it asks the function that it gets; None where it does not, or
            where there is none.
        hold: how much the batch takes.
    """
    taken: list[Piece] = []
    left_bytes = hold.most_bytes

    def fits(one: Piece) -> bool:
        return not taken or hold.wants_bytes(one) <= left_bytes

    while len(taken) < MOST_TOGETHER and (one := take(fits)) is not None:
        taken.append(one)
        left_bytes -= hold.wants_bytes(one)
    return taken


def packet_bytes(topic: str, message: Message) -> int:
    """Return at least what a message takes as an MQTT packet to `topic`."""
    return PACKET_BYTES + len(topic) + len(message.payload) + len(message.correlation)


def batch_of(records: list[Record]) -> Batch:
    """Return records of the spool as they are sent."""
    messages = tuple(Message(record.topic, record.payload, 1) for record in records)
    return Batch(messages, tuple(record.number for record in records))


def hold_within(largest_bytes: int, topic: str, sealed_by: str) -> BatchBounds:
    """Return how much a batch to `topic` takes where the broker takes no packet above `largest_bytes`; 0 for no limit."""
    most_bytes = largest_bytes - packet_bytes(topic, Message(topic, b"")) if largest_bytes else BATCH_BYTES
    return BatchBounds(max(0, min(BATCH_BYTES, most_bytes)), sealed_by)
