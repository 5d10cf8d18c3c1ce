"""Lines of text into the numbers of readings. Pure."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Any

from inferd.errors import FrameError, SourceError

MOST_COLUMNS = 1024
MOST_SHOWN = 20  # names in a message
AGREE = 3  # lines of one shape decide how many columns there are
MOST_UNDECIDED = 20  # lines that wait for that; the oldest is left out

Cells = list[Any] | dict[str, Any]  # Any: whatever JSON has
Shape = int | frozenset[str]
"""The number of values of a line, or the keys of an object."""


class RowReader:
    """Reads lines of one format. Columns are what three lines agree on: a program may print a banner first."""

    def __init__(self, part: str, kind: str, columns: Sequence[str]) -> None:
        """Begin before the first line.

        Args:
            part: named in errors.
            kind: "csv" or "jsonl".
            columns: names or numbers of those that are wanted; none takes all.
        """
        self._part = part
        self._read: Callable[[str], Cells] = _cells_of_json if kind == "jsonl" else _cells_of_csv
        self._columns = tuple(columns)
        self._named = any(not column.isdecimal() for column in columns)
        self._shape: Shape | None = None
        self._names: list[str] = []
        self._undecided: deque[tuple[int, Cells]] = deque(maxlen=MOST_UNDECIDED)
        self._ready: deque[list[float]] = deque()
        self._line = 0

    @property
    def undecided(self) -> bool:
        """Whether lines wait until it is known how many columns there are."""
        return self._shape is None and bool(self._undecided)

    def pop(self) -> list[float] | None:
        """Return the oldest reading, NaN for what is empty, null or not a number; None where there is none yet."""
        return self._ready.popleft() if self._ready else None

    def feed(self, line: str) -> None:
        """Take a line.

        Raises:
            FrameError: it is not of this format, or not of the shape of the others.
            SourceError: a column that is wanted does not exist.
        """
        self._line += 1
        if not line.strip():
            return
        try:
            cells = self._read(line)
        except (ValueError, csv.Error, RecursionError) as exc:
            raise FrameError(self._part, f"line {self._line} cannot be read: {line.strip()[:60]!r}") from exc
        if self._shape is not None:
            self._ready.append(self._numbers(self._line, cells))
            return
        self._undecided.append((self._line, cells))
        if self._is_named_by(cells):
            self._decide(_shape(cells))
            return
        shape, count = self._most_common()
        if count >= AGREE:
            self._decide(shape)

    def finish(self) -> None:
        """Take it that no line follows: decide by those that there were.

        Raises:
            FrameError, SourceError: as `feed`.
        """
        shape, count = self._most_common()
        if self._shape is None and count:
            self._decide(shape)

    def _most_common(self) -> tuple[Shape, int]:
        """Return the shape that most lines with a number in them have, and how many have it."""
        shapes = Counter(_shape(cells) for _, cells in self._undecided if _has_number(cells))
        return shapes.most_common(1)[0] if shapes else (0, 0)

    def _is_named_by(self, cells: Cells) -> bool:
        """Whether a line has the names of all columns that are wanted: no further line needs to agree with it."""
        keys = cells if isinstance(cells, dict) else [str(cell).strip() for cell in cells]
        return self._named and set(self._columns) <= set(keys)

    def _is_heading(self, cells: Cells) -> bool:
        return not _has_number(cells) or (isinstance(cells, list) and self._is_named_by(cells))

    def _decide(self, shape: Shape) -> None:
        """Settle the shape, and take the lines that have it; the first of them may name the columns."""
        lines = [(number, cells) for number, cells in self._undecided if _shape(cells) == shape]
        names = next((at for at, (_, cells) in enumerate(lines) if self._is_named_by(cells)), 0)
        lines = lines[names:]
        others = sorted({number for number, _ in self._undecided} - {number for number, _ in lines})
        self._undecided.clear()
        self._shape = shape
        while lines and (self._is_heading(lines[0][1])):  # the last of them, where there are several
            _, cells = lines.pop(0)
            self._names = [str(cell).strip() for cell in cells]
        if lines and isinstance(first := lines[0][1], dict):
            self._columns = self._columns or tuple(list(first)[:MOST_COLUMNS])
        self._ready.extend(self._numbers(number, cells) for number, cells in lines)
        if others:
            more = f" and {len(others) - 1} more are" if len(others) > 1 else " is"
            raise FrameError(self._part, f"line {others[0]}{more} unlike the other readings")

    def _numbers(self, line: int, cells: Cells) -> list[float]:
        if isinstance(cells, dict):
            if not set(self._columns) & set(cells):
                raise FrameError(
                    self._part, f"line {line} has no {_listed(self._columns)}; its keys are {_listed(cells)}"
                )
            return [_number(cells.get(name)) for name in self._columns]
        if len(cells) != self._shape:
            wanted = self._shape if isinstance(self._shape, int) else _listed(sorted(self._shape or ()))
            raise FrameError(self._part, f"line {line} has {len(cells)} values, not {wanted}")
        if not self._columns:
            return [_number(cell) for cell in cells[:MOST_COLUMNS]]
        indices = [self._index(name) for name in self._columns]
        return [_number(cells[index]) if index < len(cells) else math.nan for index in indices]

    def _index(self, column: str) -> int:
        if column in self._names:
            return self._names.index(column)
        if column.isdecimal():
            return int(column)
        known = _listed(self._names) if self._names else "numbers from 0, for it has no heading"
        raise SourceError(self._part, f"has no column {column!r}; there are {known}")


def _shape(cells: Cells) -> Shape:
    return frozenset(cells) if isinstance(cells, dict) else len(cells)


def _listed(names: Sequence[str] | dict[str, Any]) -> str:
    shown = [name[:60] for name in list(names)[:MOST_SHOWN]]
    return ", ".join(shown) + (" ..." if len(names) > MOST_SHOWN else "")


def _cells_of_csv(line: str) -> Cells:
    return next(csv.reader([line], skipinitialspace=True))


def _cells_of_json(line: str) -> Cells:
    cells = json.loads(line)
    if isinstance(cells, int | float):
        return [cells]
    if not isinstance(cells, list | dict):
        raise ValueError("neither an object nor a list")  # noqa: TRY004 - a line's fault, as the others
    return cells


def _has_number(cells: Cells) -> bool:
    """Whether a line may be a reading, and no banner or heading."""
    return any(not math.isnan(_number(cell)) for cell in (cells.values() if isinstance(cells, dict) else cells))


def _number(cell: Any) -> float:  # Any: as above
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return float(cell) if isinstance(cell, bool) else math.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.nan
