"""How the bytes of a sensor's buffer become numbers."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from inferd.sources.iio.scan_layout import Element, ElementLayout, decode, lay_out, parse_type


def places(*types: str) -> tuple[list[ElementLayout], int]:
    """Return where elements of these types lie, one after the other, with the meaning of plain numbers."""
    elements = [parse_type(str(index), index, text) for index, text in enumerate(types)]
    starts, size = lay_out(elements)
    return [ElementLayout(one, starts[one.name], 1.0, 0.0) for one in elements], size


def numbers(scans: bytes, *types: str) -> list[list[float]]:
    wanted, size = places(*types)
    told: list[list[float]] = decode(scans, size, wanted).tolist()
    return told


def test_a_type_says_order_sign_bits_room_repeat_and_shift() -> None:
    assert parse_type("accel_x", 2, "le:s12/16>>4\n") == Element("accel_x", 2, False, True, 12, 2, 1, 4)
    assert parse_type("rot", 0, "be:u16/16X4>>0") == Element("rot", 0, True, False, 16, 2, 4, 0)
    assert parse_type("timestamp", 3, "le:s64/64") == Element("timestamp", 3, False, True, 64, 8, 1, 0)


@pytest.mark.parametrize(
    "text", ["", "s12/16", "le:s0/16>>0", "le:s12/8>>0", "le:s12/16>>8", "le:s12/15>>0", "le:s65/128"]
)
def test_a_type_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="in_accel_x_type says"):
        parse_type("accel_x", 0, text)


@pytest.mark.parametrize(
    ("types", "starts", "size"),
    [
        (("le:s16/16",) * 3, [0, 2, 4], 6),
        (("le:s16/16", "le:s16/16", "le:s16/16", "le:s64/64"), [0, 2, 4, 8], 16),
        (("le:u8/8", "le:s32/32", "le:u8/8"), [0, 4, 8], 12),
        (("le:u8/8", "le:s16/16X4", "le:u8/8"), [0, 8, 16], 24),
        (("le:s24/24", "le:s24/24"), [0, 3], 6),
    ],
)
def test_elements_lie_as_the_kernel_aligns_them(types: tuple[str, ...], starts: list[int], size: int) -> None:
    wanted, told = places(*types)
    assert ([place.start for place in wanted], told) == (starts, size)


def test_a_number_is_shifted_masked_and_has_its_sign() -> None:
    scans = struct.pack("<3H", 0x7FF5, 0x8005, 0xFFFF)
    assert numbers(scans, "le:s12/16>>4") == [[2047.0], [-2048.0], [-1.0]]
    assert numbers(scans, "le:u12/16>>4") == [[2047.0], [2048.0], [4095.0]]


@pytest.mark.parametrize(("order", "mark"), [("le", "<"), ("be", ">")])
def test_both_orders_of_bytes_are_read(order: str, mark: str) -> None:
    assert numbers(struct.pack(f"{mark}2i", -70_000, 70_000), f"{order}:s32/32") == [[-70000.0], [70000.0]]
    assert numbers(b"\x01\x02\x03" if mark == ">" else b"\x03\x02\x01", f"{order}:u24/24") == [[float(0x010203)]]


def test_the_widest_numbers_are_read() -> None:
    scans = struct.pack("<qQ", -(1 << 62), 1 << 63)
    assert numbers(scans, "le:s64/64", "le:u64/64") == [[-(2.0**62), 2.0**63]]


def test_a_repeated_element_gives_as_many_numbers() -> None:
    assert numbers(struct.pack("<4h", 1, 2, 3, -4), "le:s16/16X4") == [[1.0, 2.0, 3.0, -4.0]]


def test_padding_and_what_nobody_wants_are_skipped() -> None:
    wanted, size = places("le:s16/16", "le:s16/16", "le:s64/64")
    scans = struct.pack("<2h4xq", 1, 2, 99) + struct.pack("<2h4xq", 3, 4, 99)
    assert decode(scans, size, [wanted[1]]).tolist() == [[2.0], [4.0]]


def test_numbers_are_in_the_kernels_units_in_the_order_that_is_wanted() -> None:
    x, y = (parse_type(name, index, "le:s16/16") for index, name in enumerate("xy"))
    told = decode(struct.pack("<2h", 100, -200), 4, [ElementLayout(y, 2, 0.01, 0.0), ElementLayout(x, 0, 0.5, -19.0)])
    assert np.allclose(told, [[-2.0, 40.5]])
