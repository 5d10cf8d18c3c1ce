"""What leaves as one MQTT message: a message of its moment, or a batch of what was missed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from inferd.records import Message
from inferd.telemetry.frames import Record
from inferd.wire.replay import encode_missed
from inferd.wire.topics import REPLAY

MOST_TOGETHER = 64
FULL_BYTES = (
    18_000  # a batch that holds so much takes no more: with a last message of 20 kB, and sealed, it is under 64 kB
)

Seal = Callable[[Message], Message]
Piece = TypeVar("Piece", Message, Record)


@dataclass(frozen=True, slots=True)
class Outgoing:
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


Parcel = Outgoing | Batch


def together(take: Callable[[], Piece | None]) -> list[Piece]:
    """Return what leaves in one batch of what `take` gives, until it is full or there is no more."""
    taken: list[Piece] = []
    size_bytes = 0
    while len(taken) < MOST_TOGETHER and size_bytes < FULL_BYTES and (one := take()) is not None:
        taken.append(one)
        size_bytes += len(one.payload)
    return taken


def batch_of(records: list[Record]) -> Batch:
    """Return records of the spool as they are sent."""
    messages = tuple(Message(record.topic, record.payload, 1) for record in records)
    return Batch(messages, tuple(record.number for record in records))
