"""The FlatBuffers reader: what it reads, and how damage ends."""

from __future__ import annotations

import struct

import pytest

from fixtures.models.tflite_writer import Numbers, Scalar, Table, flatbuffer, int_field
from inferd.errors import ModelError
from inferd.store.formats.bounded_file import BytesInMemory
from inferd.store.formats.flatbuffer import FlatBuffer
from inferd.store.formats.flatbuffer import FlatBufferTable as Read

MARK = b"TEST"


def root_of(content: bytes, reads: int = 10_000) -> Read:
    return FlatBuffer("f", BytesInMemory(content), reads=reads).root(MARK)


def test_an_absent_field_gives_its_default() -> None:
    assert root_of(flatbuffer(Table(), MARK)).integer(3, "i", default=7) == 7


def test_numbers_texts_and_vectors_are_read() -> None:
    made = Table({0: int_field(-5), 1: "häuser", 2: Numbers("q", (1, -2)), 4: Scalar("f", 0.5)})
    read = root_of(flatbuffer(made, MARK))
    found = read.integer(0, "i"), read.text(1), read.integers(2, "q"), read.real(4), read.real(9)
    assert found == (-5, "häuser", (1, -2), 0.5, None)


def test_sub_tables_are_read_in_order() -> None:
    made = Table({0: [Table({0: int_field(n)}) for n in range(3)]})
    assert [one.integer(0, "i") for one in root_of(flatbuffer(made, MARK)).tables(0)] == [0, 1, 2]


def test_terminal_codes_in_a_text_are_replaced() -> None:
    assert root_of(flatbuffer(Table({0: "a\x1b[2Jb"}), MARK)).text(0) == "a [2Jb"


@pytest.mark.parametrize("root", [0, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_root_that_leads_nowhere_is_named(root: int) -> None:
    content = struct.pack("<I", root) + flatbuffer(Table(), MARK)[4:]
    with pytest.raises(ModelError, match=r"^f: is damaged or incomplete: an offset leads to byte"):
        root_of(content)


def test_another_mark_is_named() -> None:
    with pytest.raises(ModelError, match="no TEST mark"):
        root_of(flatbuffer(Table(), b"NOPE"))


def test_a_vector_longer_than_the_file_is_named() -> None:
    content = bytearray(flatbuffer(Table({0: Numbers("i", (1, 2))}), MARK))
    struct.pack_into("<I", content, len(content) - 12, 0xFFFFFFFF)
    with pytest.raises(ModelError, match="bytes are promised at byte"):
        root_of(bytes(content)).integers(0)


def test_a_field_beyond_its_table_is_named() -> None:
    content = bytearray(flatbuffer(Table({0: int_field(1)}), MARK))
    struct.pack_into("<H", content, 18, 60_000)
    with pytest.raises(ModelError, match="field 0 of the table at byte 20 lies outside its table"):
        root_of(bytes(content)).integer(0, "i")


def test_tables_that_all_lead_to_one_another_end_with_the_budget() -> None:
    content = flatbuffer(Table({0: [Table() for _ in range(1000)]}), MARK)
    with pytest.raises(ModelError, match="far more tables than any model"):
        list(root_of(content, reads=500).tables(0))


def test_every_single_cut_of_a_buffer_ends_in_a_named_error_or_a_value() -> None:
    whole = flatbuffer(Table({0: "text", 1: [Table({0: Numbers("i", (1, 2, 3))})]}), MARK)
    for length in range(len(whole)):
        try:
            read = root_of(whole[:length])
            assert read.text(0) == "text"
            assert [one.integers(0) for one in read.tables(1)] == [(1, 2, 3)]
        except ModelError as exc:
            assert exc.part == "f"  # noqa: PT017  # both ends are right here, a third would not be
