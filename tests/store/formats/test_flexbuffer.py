"""Whole numbers of a FlexBuffer map, as Google's own library writes it."""

from __future__ import annotations

import pytest

from inferd.store.formats.flexbuffer import ENTRIES_MAX, read_integers

flexbuffers = pytest.importorskip("flatbuffers.flexbuffers", reason="pip install flatbuffers")


def written(options: dict[str, object]) -> bytes:
    return bytes(flexbuffers.Dumps(options))


def test_whole_numbers_are_read_and_all_else_is_passed_over() -> None:
    content = written({"num_classes": 90, "offset": -3, "large": 70_000, "y_scale": 10.0, "name": "ssd"})
    assert read_integers(content) == {"num_classes": 90, "offset": -3, "large": 70_000}


def test_a_map_of_as_many_entries_as_are_read_is_read() -> None:
    options: dict[str, object] = {f"option_{number}": number for number in range(ENTRIES_MAX)}
    assert read_integers(written(options)) == options


def test_a_map_of_more_entries_than_any_operator_has_is_not_read() -> None:
    assert read_integers(written({f"option_{number}": number for number in range(ENTRIES_MAX + 1)})) == {}


def test_a_buffer_that_is_cut_or_changed_ends_in_numbers_or_in_none() -> None:
    whole = written({"num_classes": 90, "y_scale": 10.0})
    for end in range(len(whole)):
        assert isinstance(read_integers(whole[:end]), dict)
    for at in range(len(whole)):
        for flip in (0x01, 0x7F, 0xFF):
            assert isinstance(read_integers(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]), dict)
