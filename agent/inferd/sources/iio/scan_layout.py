"""How a sensor's buffer lays its readings out, and how its bytes become numbers. Pure.

Kernel: Documentation/ABI/testing/sysfs-bus-iio (scan_elements), drivers/iio/industrialio-buffer.c (iio_compute_scan_bytes).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from inferd.records import Array

TYPE = re.compile(r"(be|le):([su])(\d+)/(\d+)(?:X(\d+))?(?:>>(\d+))?")
BYTE = 8
MOST_BITS = 64


@dataclass(frozen=True, slots=True)
class Element:
    """One enabled element of a scan.

    Attributes:
        name: of the channel, as in its files: "accel_x", "timestamp".
        index: elements lie in this order.
        big_endian, signed: of its numbers.
        bits: that count.
        storage_bytes: that one number takes.
        repeat: how many numbers there are, such as the four of a quaternion.
        shift: bits below those that count.
    """

    name: str
    index: int
    big_endian: bool
    signed: bool
    bits: int
    storage_bytes: int
    repeat: int = 1
    shift: int = 0

    @property
    def length(self) -> int:
        """The bytes that it takes in a scan, which begin at a multiple of this."""
        return self.storage_bytes * self.repeat


@dataclass(frozen=True, slots=True)
class ElementLayout:
    """Where an element lies in a scan, and what its numbers mean: (raw + offset) * scale."""

    element: Element
    start: int
    scale: float
    offset: float


def parse_type(name: str, index: int, text: str) -> Element:
    """Return the element that a `type` file such as "le:s12/16>>4" describes.

    Raises:
        ValueError: it is no such text, or has numbers that we cannot read.
    """
    match = TYPE.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"in_{name}_type says {text.strip()!r}, which is not understood")
    order, sign, *numbers = match.groups()
    bits, storage, repeat, shift = (int(number or 0) for number in numbers)
    if not 0 < bits <= storage <= MOST_BITS or storage % BYTE or bits + shift > storage:
        raise ValueError(f"in_{name}_type says {text.strip()!r}, which cannot be")
    return Element(name, index, order == "be", sign == "s", bits, storage // BYTE, max(1, repeat), shift)


def lay_out(elements: Sequence[Element]) -> tuple[dict[str, int], int]:
    """Return where each enabled element starts, by name, and how many bytes a scan takes; the kernel's own rule."""
    starts: dict[str, int] = {}
    size = 0
    for element in sorted(elements, key=lambda one: one.index):
        size = _up(size, element.length)
        starts[element.name] = size
        size += element.length
    return starts, _up(size, max((element.length for element in elements), default=1))


def decode(scans: bytes, scan_bytes: int, places: Sequence[ElementLayout]) -> Array:
    """Return whole scans as (n, numbers) float64 in the kernel's units, the places in their order.

    Args:
        scans: n times `scan_bytes` bytes.
        scan_bytes: of one scan, padding and elements that nobody wants included.
        places: what is wanted of it.
    """
    octets = np.frombuffer(scans, np.uint8).reshape(-1, scan_bytes)
    return np.concatenate([_numbers(octets, place) for place in places], axis=1)


def _numbers(octets: Array, place: ElementLayout) -> Array:
    element = place.element
    own = octets[:, place.start : place.start + element.length].reshape(len(octets), element.repeat, -1)
    order = range(element.storage_bytes)
    raw = np.zeros(own.shape[:2], np.uint64)
    for octet in order if element.big_endian else reversed(order):  # the highest first
        raw = (raw << np.uint64(BYTE)) | own[:, :, octet]
    raw = (raw >> np.uint64(element.shift)) & np.uint64((1 << element.bits) - 1)
    return (_signed(raw, element) + place.offset) * place.scale


def _signed(raw: Array, element: Element) -> Array:
    """Return numbers uint64 as float64, the upper half of them negative where they are signed."""
    if not element.signed:
        return raw.astype(np.float64)
    unused = np.uint64(MOST_BITS - element.bits)
    return ((raw << unused).view(np.int64) >> unused.astype(np.int64)).astype(np.float64)


def _up(size: int, step: int) -> int:
    return -(-size // step) * step
