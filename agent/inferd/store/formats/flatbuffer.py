"""A bounded reader of FlatBuffers: every offset is checked, and a budget of reads ends hostile files quickly.

The format: a table begins with a signed offset back to its vtable, which lists for each field how far into the table
it lies (0: absent, take the default). Strings, vectors and sub-tables lie elsewhere and are reached by forward offsets.
Fields are read when they are asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

from inferd.errors import ModelCutOff, ModelError
from inferd.store.formats.bounded_file import ByteSource

READS_MAX = 1_000_000  # 1 to 2 s of this reader on x86; MobileNet V2 (66 operators) takes 3,800
READ_UNIT_BYTES = 8  # a long vector costs as much of the budget as so many short reads: that bounds memory, too
TEXT_MAX_BYTES = 1 << 16  # fused operators get names of some thousand characters
VECTOR_MAX = 1 << 12  # numbers; no operator has as many inputs, no tensor as many dimensions
BEGIN_AGAIN = "download or export it again"

IntegerCode = Literal["b", "B", "H", "i", "I", "q", "Q"]


class FlatBuffer:
    """One FlatBuffer under a budget."""

    def __init__(self, part: str, octets: ByteSource, size: int | None = None, reads: int = READS_MAX) -> None:
        """Look at `octets`.

        Args:
            part: the file to name in errors.
            octets: where the bytes come from.
            size: how many of them belong to this buffer; None is all.
            reads: the budget.
        """
        self.part = part
        self.size = octets.size if size is None else size
        self._octets = octets
        self._reads_left = reads

    def root(self, identifier: bytes) -> FlatBufferTable:
        """Return the root table.

        Raises:
            ModelError: the buffer is too short, has another identifier, or its root lies outside.
        """
        if self.size < 8 or self.read(4, 4) != identifier:  # noqa: PLR2004  # root offset and identifier, 4 bytes each
            raise self.damaged(f"it has no {identifier.decode()} mark at byte 4")
        return FlatBufferTable(self, self.follow(0))

    def read(self, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`.

        Raises:
            ModelError: they lie outside, or the budget is used up.
        """
        if offset < 0 or length < 0 or offset + length > self.size:
            raise self.cut_off(f"it points to byte {offset + length:,} but ends at byte {self.size:,}")
        self._reads_left -= 1 + length // READ_UNIT_BYTES
        if self._reads_left < 0:
            raise ModelError(self.part, "has far more tables than any model we know; it is damaged or made to confuse")
        return self._octets.read(offset, length) if length else b""

    def integer(self, offset: int, code: IntegerCode) -> int:
        """Return the little-endian integer at `offset`.

        Raises:
            ModelError: it lies outside.
        """
        return int(struct.unpack("<" + code, self.read(offset, struct.calcsize(code)))[0])

    def follow(self, offset: int) -> int:
        """Return where the forward offset at `offset` leads.

        Raises:
            ModelError: outside, or nowhere.
        """
        step = self.integer(offset, "I")
        if step == 0 or offset + step >= self.size:
            raise self.cut_off(f"an offset leads to byte {offset + step:,} but it ends at byte {self.size:,}")
        return offset + step

    def damaged(self, fact: str) -> ModelError:
        """Return the error for a file that breaks its own format."""
        return ModelError(self.part, f"is damaged or incomplete: {fact}; {BEGIN_AGAIN}")

    def cut_off(self, fact: str) -> ModelCutOff:
        """Return the error for a file that ends too early."""
        return ModelCutOff(self.part, f"is damaged or incomplete: {fact}; {BEGIN_AGAIN}")


class FlatBufferTable:
    """One table; fields are asked for by their slot in the schema. Absent fields give the default."""

    __slots__ = ("_at", "_buffer", "_fields", "_length")

    def __init__(self, buffer: FlatBuffer, at: int) -> None:
        """Read the vtable of the table at byte `at`.

        Raises:
            ModelError: table or vtable lie outside or contradict themselves.
        """
        vtable = at - buffer.integer(at, "i")
        vtable_length, self._length = struct.unpack("<HH", buffer.read(vtable, 4))
        if vtable_length < 4 or vtable_length % 2 or self._length < 4:  # noqa: PLR2004  # two header words, one offset
            raise buffer.damaged(f"the table at byte {at:,} has no valid field list")
        self._fields: tuple[int, ...] = struct.unpack(
            f"<{vtable_length // 2 - 2}H", buffer.read(vtable + 4, vtable_length - 4)
        )
        self._buffer = buffer
        self._at = at

    def integer(self, slot: int, code: IntegerCode, default: int = 0) -> int:
        """Return an integer field.

        Raises:
            ModelError: it lies outside its table.
        """
        at = self._place(slot, struct.calcsize(code))
        return default if at is None else self._buffer.integer(at, code)

    def real(self, slot: int) -> float | None:
        """Return a float field, None where it is absent.

        Raises:
            ModelError: it lies outside its table.
        """
        at = self._place(slot, 4)
        return None if at is None else float(struct.unpack("<f", self._buffer.read(at, 4))[0])

    def table(self, slot: int) -> FlatBufferTable | None:
        """Return a sub-table, None where it is absent.

        Raises:
            ModelError: it lies outside.
        """
        at = self._place(slot, 4)
        return None if at is None else FlatBufferTable(self._buffer, self._buffer.follow(at))

    def tables(self, slot: int) -> Tables:
        """Return a vector of tables, each read when it is asked for.

        Raises:
            ModelError: the vector lies outside.
        """
        begin, count = self._vector(slot, 4)
        return Tables(self._buffer, begin, count)

    def integers(self, slot: int, code: IntegerCode = "i") -> tuple[int, ...]:
        """Return a vector of integers.

        Raises:
            ModelError: it lies outside.
        """
        return struct.unpack(*self._numbers(slot, code))

    def reals(self, slot: int) -> tuple[float, ...]:
        """Return a vector of floats.

        Raises:
            ModelError: it lies outside.
        """
        return struct.unpack(*self._numbers(slot, "f"))

    def span(self, slot: int) -> tuple[int, int]:
        """Return where a vector of bytes begins and how many they are, without reading them; (0, 0) where absent.

        Raises:
            ModelError: it lies outside.
        """
        return self._vector(slot, 1)

    def text(self, slot: int) -> str:
        """Return a string field, "" where absent; what cannot be printed (terminal codes!) is replaced.

        Raises:
            ModelError: it lies outside, or has more than 64 KiB.
        """
        begin, count = self._vector(slot, 1)
        if count > TEXT_MAX_BYTES:
            raise self._buffer.damaged(f"a name of {count:,} characters stands at byte {begin:,}")
        raw = self._buffer.read(begin, count).decode("utf-8", "replace")
        return raw if raw.isprintable() else "".join(c if c.isprintable() else " " for c in raw)

    def _place(self, slot: int, width: int) -> int | None:
        offset = self._fields[slot] if slot < len(self._fields) else 0
        if offset == 0:
            return None
        if offset < 4 or offset + width > self._length:  # noqa: PLR2004  # the first four bytes lead to the vtable
            raise self._buffer.damaged(f"field {slot} of the table at byte {self._at:,} lies outside its table")
        return self._at + offset

    def _numbers(self, slot: int, code: str) -> tuple[str, bytes]:
        width = struct.calcsize(code)
        begin, count = self._vector(slot, width)
        if count > VECTOR_MAX:
            raise self._buffer.damaged(f"a list of {count:,} numbers stands at byte {begin:,}")
        return f"<{count}{code}", self._buffer.read(begin, count * width)

    def _vector(self, slot: int, width: int) -> tuple[int, int]:
        at = self._place(slot, 4)
        if at is None:
            return 0, 0
        head = self._buffer.follow(at)
        count = self._buffer.integer(head, "I")
        if head + 4 + count * width > self._buffer.size:
            raise self._buffer.cut_off(
                f"{count * width:,} bytes are promised at byte {head:,} but it ends at byte {self._buffer.size:,}"
            )
        return head + 4, count


class Tables:
    """A vector of tables."""

    __slots__ = ("_begin", "_buffer", "_count")

    def __init__(self, buffer: FlatBuffer, begin: int, count: int) -> None:
        self._buffer = buffer
        self._begin = begin
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> FlatBufferTable:
        if not 0 <= index < self._count:
            raise IndexError(index)
        return FlatBufferTable(self._buffer, self._buffer.follow(self._begin + 4 * index))

    def __iter__(self) -> Iterator[FlatBufferTable]:
        return (self[index] for index in range(self._count))
