"""Reads protobuf messages field by field, without their descriptions; weights are passed over, never read. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from inferd.errors import ModelCutOff, ModelError
from inferd.store.formats.bounded_file import ByteSource

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types; the others are no longer in use
VARINT_MAX_BYTES = 10
TEXT_MAX_BYTES = 1 << 16  # of a name or a description
SMALL_BYTES = 8
INT64 = 1 << 64
DAMAGED = "is damaged or cut short; copy or download it again"


class Field(NamedTuple):
    """One field: its number, and either a whole number or where its bytes lie."""

    number: int
    value: int
    begin: int
    end: int


class ProtobufMessage:
    """A message, or a message within one: the bytes from `begin` to `end` of a file."""

    def __init__(self, part: str, octets: ByteSource, begin: int, end: int) -> None:
        """Stand before the first field.

        Args:
            part: the file to name in errors.
            octets: the file.
            begin: offset of the first byte.
            end: offset behind the last byte.
        """
        self._part = part
        self._octets = octets
        self._begin = begin
        self._end = end

    def fields(self, *numbers: int) -> Iterator[Field]:
        """Yield the fields of these numbers as they come.

        Raises:
            ModelError: the message is damaged.
        """
        offset = self._begin
        while offset < self._end:
            tag, offset = self._varint(offset)
            field, offset = self._field(tag >> 3, tag & 7, offset)
            if field.number in numbers:
                yield field

    def messages(self, number: int) -> Iterator[ProtobufMessage]:
        """Yield the messages of this number.

        Raises:
            ModelError: the message is damaged.
        """
        for field in self.fields(number):
            yield ProtobufMessage(self._part, self._octets, field.begin, field.end)

    def message(self, number: int) -> ProtobufMessage | None:
        """Return the first message of this number, None where there is none."""
        return next(self.messages(number), None)

    def texts(self, number: int) -> Iterator[str]:
        """Yield the texts of this number; what is no UTF-8 is replaced.

        Raises:
            ModelError: the message is damaged, or a text is too long to be a name.
        """
        for field in self.fields(number):
            length = field.end - field.begin
            if length > TEXT_MAX_BYTES:
                raise ModelError(self._part, f"holds a name of {length:,} bytes; {DAMAGED.partition('; ')[2]}")
            yield self._octets.read(field.begin, length).decode(errors="replace") if length else ""

    def text(self, number: int) -> str:
        """Return the first text of this number, "" where there is none."""
        return next(self.texts(number), "")

    def content(self, number: int) -> bytes:
        """Return the first bytes of this number where they are few, b"" where there are none or many."""
        field = next(self.fields(number), None)
        length = field.end - field.begin if field is not None else 0
        return self._octets.read(field.begin, length) if field is not None and 0 < length <= SMALL_BYTES else b""

    def number(self, number: int) -> int | None:
        """Return the first whole number of this number, None where there is none; int64 as protobuf writes it."""
        field = next(self.fields(number), None)
        if field is None:
            return None
        return field.value - INT64 if field.value >= INT64 // 2 else field.value

    def _field(self, number: int, wire: int, offset: int) -> tuple[Field, int]:
        if wire == VARINT:
            value, after = self._varint(offset)
            return Field(number, value, offset, after), after
        if wire == BYTES:
            length, offset = self._varint(offset)
        elif wire in (FIXED32, FIXED64):
            length = 4 if wire == FIXED32 else 8
        else:
            raise ModelError(self._part, DAMAGED)
        if length > self._end - offset:
            raise ModelCutOff(self._part, DAMAGED)
        if number == 0:
            raise ModelError(self._part, DAMAGED)
        return Field(number, 0, offset, offset + length), offset + length

    def _varint(self, offset: int) -> tuple[int, int]:
        octets = self._octets.read(offset, min(VARINT_MAX_BYTES, self._end - offset))
        value = 0
        for index, octet in enumerate(octets):
            value |= (octet & 0x7F) << (7 * index)
            if octet < 0x80:  # noqa: PLR2004 - the bit that says "more follows"
                return value, offset + index + 1
        raise ModelError(self._part, DAMAGED)
