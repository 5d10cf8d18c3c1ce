"""One line of text into the numbers of one reading. Pure."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Sequence
from typing import Any

from inferd.errors import FrameError, SourceError

MOST_COLUMNS = 1024


class RowReader:
    """Reads lines of one format. The first CSV line that is no row of numbers names the columns."""

    def __init__(self, part: str, kind: str, columns: Sequence[str]) -> None:
        """Begin before the first line.

        Args:
            part: named in errors.
            kind: "csv" or "jsonl".
            columns: names or numbers of those that are wanted; none takes all.
        """
        self._part = part
        self._read = _cells_of_json if kind == "jsonl" else _cells_of_csv
        self._columns = tuple(columns)
        self._names: list[str] | None = None
        self._line = 0
        self.width = 0
        """How many numbers a reading has; 0 before the first."""

    def parse(self, line: str) -> list[float] | None:
        """Return the reading of a line, NaN for what is empty, null or no number; None for a heading or an empty line.

        Raises:
            FrameError: the line is not of this format, or has not as many values as the ones before.
            SourceError: a column that is wanted does not exist.
        """
        self._line += 1
        if not line.strip():
            return None
        try:
            cells = self._read(line)
        except (ValueError, csv.Error, RecursionError) as exc:
            raise FrameError(self._part, f"line {self._line} cannot be read: {line.strip()[:60]!r}") from exc
        if isinstance(cells, list) and not self.width and self._names is None and _is_heading(cells):
            self._names = [str(cell).strip() for cell in cells]
            return None
        chosen = self._chosen(cells)
        if self.width and len(chosen) != self.width:
            raise FrameError(self._part, f"line {self._line} has {len(chosen)} values, not {self.width}")
        self.width = len(chosen)
        return [_number(cell) for cell in chosen]

    def _chosen(self, cells: list[Any] | dict[str, Any]) -> list[Any]:  # Any: whatever JSON has
        if isinstance(cells, dict):
            self._columns = self._columns or tuple(list(cells)[:MOST_COLUMNS])
            if not self.width and not set(self._columns) & set(cells):
                raise SourceError(self._part, f"has no {', '.join(self._columns)}; its keys are {', '.join(cells)}")
            return [cells.get(name) for name in self._columns]
        if not self._columns:
            return cells[:MOST_COLUMNS]
        places = [self._place(name) for name in self._columns]
        return [cells[place] if place < len(cells) else None for place in places]

    def _place(self, column: str) -> int:
        if self._names is not None and column in self._names:
            return self._names.index(column)
        if column.isdecimal():
            return int(column)
        known = ", ".join(self._names) if self._names else "numbers from 0, for it has no heading"
        raise SourceError(self._part, f"has no column {column!r}; there are {known}")


def _cells_of_csv(line: str) -> list[Any]:  # Any: as _cells_of_json
    return next(csv.reader([line], skipinitialspace=True))


def _cells_of_json(line: str) -> list[Any] | dict[str, Any]:  # Any: whatever JSON has
    cells = json.loads(line)
    if isinstance(cells, int | float):
        return [cells]
    if not isinstance(cells, list | dict):
        raise ValueError("neither an object nor a list")  # noqa: TRY004 - a line's fault, as the others
    return cells


def _is_heading(cells: list[Any]) -> bool:  # Any: as above
    """Whether these are names: some text that is no number."""
    return any(
        isinstance(cell, str)
        and cell.strip()
        and math.isnan(_number(cell))
        and cell.strip().lower() not in ("nan", "null")
        for cell in cells
    )


def _number(cell: Any) -> float:  # Any: as above
    if isinstance(cell, bool) or not isinstance(cell, str | int | float):
        return float(cell) if isinstance(cell, bool) else math.nan
    try:
        return float(cell)
    except (ValueError, OverflowError):
        return math.nan
