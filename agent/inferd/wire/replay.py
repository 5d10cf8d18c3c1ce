"""What the broker missed, as it is sent later: messages in a batch, each as it would have been at its time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from inferd.records import Message
from inferd.wire.decoding import decode


class MissedMessage(msgspec.Struct, frozen=True):
    """A message in a batch.

    Attributes:
        topic: where it would have gone, below the device, such as "event" or "cam/result".
        message: what it says, with its own `time`, `boot_id` and `seq`; sealed by itself where messages are sealed.
    """

    topic: str
    message: msgspec.Raw


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[MissedMessage])


def encode_missed(messages: Sequence[Message]) -> bytes:
    """Return messages of JSON as one JSON array, in their order."""
    return _encoder.encode([MissedMessage(message.topic, msgspec.Raw(message.payload)) for message in messages])


def decode_missed(payload: bytes) -> list[MissedMessage]:
    """Return the messages of a batch, oldest first.

    Raises:
        msgspec.MsgspecError: it is no batch.
    """
    return decode(_decoder, payload)
