"""How the spool's records stand in a file: length, CRC-32, msgpack, one after the other. Pure: bytes in, records out.

A power cut may leave a file with a torn last record, with zeros where its content should be, or with an older content of
the same disk blocks; a card may damage bytes anywhere. So the CRC begins with a seed of the file's own, and reading goes on at
the next whole record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from zlib import crc32

import msgspec

from inferd.records import Lane
from inferd.wire.decoding import decode

LANES: tuple[Lane, ...] = ("alert", "event", "metrics", "result")
"""What is told apart in the spool; where room is wanted, the last goes first."""

MAX_RECORD_BYTES = 1 << 20  # a message is under 20 kB; a longer length is a torn one
_HEAD = Struct("<II")


class Record(msgspec.Struct, frozen=True, array_like=True, tag="r"):
    """A message in the spool.

    Attributes:
        number: 1, 2, 3 ... in the order of publishing, also over restarts.
        lane: what kind it is.
        wall_s: when it was published, seconds since the epoch as the device believed it then.
        topic: without prefix and device, as a message has it.
        payload: as it leaves.
    """

    number: int
    lane: Lane
    wall_s: float
    topic: str
    payload: bytes


class Delivered(msgspec.Struct, frozen=True, array_like=True, tag="d"):
    """The broker has acknowledged a record; stands in the tail."""

    number: int


class Cursor(msgspec.Struct, frozen=True, array_like=True, tag="c"):
    """How far the broker has acknowledged.

    Attributes:
        done: every record up to this number is delivered or gone.
        beyond: numbers above `done` that are delivered as well.
    """

    done: int = 0
    beyond: tuple[int, ...] = ()


Item = Record | Delivered | Cursor

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Item)


def frame(item: Item, seed: int = 0) -> bytes:
    """Return an item as it stands in a file whose CRCs begin with `seed`."""
    body = _encoder.encode(item)
    return _HEAD.pack(len(body), crc32(body, seed & 0xFFFFFFFF)) + body


def frames(items: Iterable[Item], seed: int = 0) -> bytes:
    """Return items as they stand in a file, one after the other."""
    return b"".join(frame(item, seed) for item in items)


def parse(data: bytes, seed: int = 0) -> tuple[list[Item], int, int]:
    """Return the whole items in `data`, where the last of them ends, and how many damaged places lie before that.

    After a damaged place reading goes on at the next whole item. What follows the last one is torn, or damaged.
    """
    items: list[Item] = []
    position = end = gaps = 0
    damaged = False
    while position + _HEAD.size < len(data):
        item, size_bytes = _item_at(data, position, seed)
        if item is None:
            damaged = True
            position += size_bytes or 1
            continue
        gaps += damaged
        damaged = False
        items.append(item)
        position = end = position + size_bytes
    return items, end, gaps


def pieces(records: Sequence[Record], most_bytes: int) -> Iterator[list[Record]]:
    """Yield records in their order, in pieces of about `most_bytes`, so that there is room for each before it is written."""
    piece: list[Record] = []
    size_bytes = 0
    for record in records:
        piece.append(record)
        size_bytes += len(record.payload)
        if size_bytes >= most_bytes:
            yield piece
            piece, size_bytes = [], 0
    if piece:
        yield piece


def _item_at(data: bytes, position: int, seed: int) -> tuple[Item | None, int]:
    """Return the item that begins here and its size; None and 0 where none does, None and its size if it is unknown."""
    length, checksum = _HEAD.unpack_from(data, position)
    start = position + _HEAD.size
    if not 0 < length <= min(MAX_RECORD_BYTES, len(data) - start):
        return None, 0
    body = data[start : start + length]
    if crc32(body, seed & 0xFFFFFFFF) != checksum:
        return None, 0
    try:
        return decode(_decoder, body), _HEAD.size + length
    except msgspec.MsgspecError:  # its CRC is right: written by another inferd
        return None, _HEAD.size + length
