"""Protobuf messages, made by hand."""

from __future__ import annotations

import pytest

from inferd.errors import ModelCutOff, ModelError
from inferd.store.formats.bounded_file import BytesInMemory
from inferd.store.formats.protobuf import BYTES, FIXED32, FIXED64, SMALL_BYTES, TEXT_MAX_BYTES, VARINT, ProtobufMessage


def message(content: bytes) -> ProtobufMessage:
    return ProtobufMessage("m.onnx", BytesInMemory(content), 0, len(content))


def field(number: int, wire: int, content: bytes) -> bytes:
    return bytes([number << 3 | wire]) + content


def test_numbers_texts_and_messages_are_found_by_their_numbers() -> None:
    inner = field(1, VARINT, b"\x96\x01")
    whole = field(1, VARINT, b"\x05") + field(2, BYTES, b"\x03cat") + field(3, BYTES, bytes([len(inner)]) + inner)
    read = message(whole)
    within = read.message(3)
    assert (read.number(1), read.text(2)) == (5, "cat")
    assert within is not None
    assert within.number(1) == 150
    assert (read.number(4), read.text(4), read.message(4), read.content(4)) == (None, "", None, b"")


def test_a_negative_number_is_one() -> None:
    assert message(field(1, VARINT, b"\xff" * 9 + b"\x01")).number(1) == -1
    assert message(field(1, VARINT, b"\xff" * 8 + b"\x7f")).number(1) == (1 << 63) - 1


@pytest.mark.parametrize(("wire", "length"), [(FIXED32, 4), (FIXED64, 8)])
def test_fixed_numbers_are_passed_over(wire: int, length: int) -> None:
    assert message(field(1, wire, bytes(length)) + field(2, VARINT, b"\x07")).number(2) == 7


@pytest.mark.parametrize(
    "content", [field(2, BYTES, b"\x04cat"), field(1, FIXED32, bytes(3)), field(1, FIXED64, bytes(7))]
)
def test_a_field_that_is_longer_than_its_message_is_cut_off(content: bytes) -> None:
    with pytest.raises(ModelCutOff, match="is damaged or cut short"):
        list(message(content).fields(1, 2))


def test_a_field_that_ends_with_its_message_is_whole() -> None:
    assert message(field(2, BYTES, b"\x03cat")).text(2) == "cat"


@pytest.mark.parametrize(
    "content", [field(0, BYTES, b"\x00"), field(1, 3, b""), field(1, VARINT, b"\x80"), b"\xff" * 11]
)
def test_anything_else_is_damaged(content: bytes) -> None:
    with pytest.raises(ModelError, match="is damaged or cut short"):
        list(message(content).fields(1))


def test_a_text_that_is_too_long_for_a_name_is_refused() -> None:
    size = TEXT_MAX_BYTES + 1
    varint = bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14])
    with pytest.raises(ModelError, match="holds a name of 65,537 bytes"):
        message(field(2, BYTES, varint + b"x" * size)).text(2)


def test_only_few_bytes_are_read_as_they_are() -> None:
    assert message(field(2, BYTES, bytes([SMALL_BYTES]) + b"y" * SMALL_BYTES)).content(2) == b"y" * SMALL_BYTES
    assert message(field(2, BYTES, bytes([SMALL_BYTES + 1]) + b"y" * (SMALL_BYTES + 1))).content(2) == b""
