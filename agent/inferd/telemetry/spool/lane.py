"""One lane of the spool: its segments, and the file that grows. See `segments.py`."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from inferd.system.files.append_only import AppendFile
from inferd.telemetry.spool.record_codec import Record, parse


@dataclass(slots=True)
class SpoolSegment:
    """A file of a lane that holds records with numbers from `first` on."""

    path: Path
    first: int
    level: int
    size_bytes: int

    def read(self) -> list[Record]:
        """Return its whole records, ascending by number.

        Raises:
            OSError: the disk refuses.
        """
        items, _ = parse(self.path.read_bytes(), self.first)
        records: list[Record] = []
        for item in items:
            if isinstance(item, Record) and (not records or item.number > records[-1].number):
                records.append(item)
        return records


@dataclass(slots=True)
class SpoolLane:
    """The segments of one lane, oldest first, and the file that grows."""

    folder: Path
    segments: list[SpoolSegment] = field(default_factory=list)
    growing: AppendFile | None = None
    doubtful_from: int | None = None
    """Where the last segment must be cut before the next write, after one that failed."""
    _cached: tuple[Path, int, list[Record]] | None = None

    @property
    def size_bytes(self) -> int:
        """What its files take."""
        return sum(segment.size_bytes for segment in self.segments)

    def records(self, segment: SpoolSegment) -> list[Record]:
        """Return the records of one segment, read once for as long as it stays the same."""
        if self._cached is None or self._cached[:2] != (segment.path, segment.size_bytes):
            self._cached = (segment.path, segment.size_bytes, segment.read())
        return self._cached[2]

    def first_after(self, number: int) -> Record | None:
        """Return the oldest record above `number`; None where there is none."""
        start = max(0, bisect_right(self.segments, number, key=lambda segment: segment.first) - 1)
        for segment in self.segments[start:]:
            records = self.records(segment)
            at = bisect_right(records, number, key=lambda record: record.number)
            if at < len(records):
                return records[at]
        return None

    def last_number(self) -> int:
        """Return the highest number that may be in it, 0 where there is none."""
        for segment in reversed(self.segments):
            if records := self.records(segment):
                return records[-1].number
        return 0
