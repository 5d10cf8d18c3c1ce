"""The spool's files: for each lane a folder of segments, in each of which one record follows the other.

spool/<lane>/<number>-<level>.seg   records from `number` on; of level n are 2^n messages thinned to one
spool/cursor                        how far the broker has acknowledged; lost, it costs duplicates only

What `append` has returned from is on the disk. A segment is only ever appended to, replaced by a thinner one that covers
its numbers, or removed. Owned by one thread; whatever the disk refuses is an OSError and leaves what was there.
"""

from __future__ import annotations

import contextlib
import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from inferd.records import Lane
from inferd.system.files.append_only import AppendFile
from inferd.system.files.atomic import DISK, Disk, make_folder, remove_unfinished, sync_folder, write_atomic
from inferd.telemetry.spool.record_codec import LANES, Cursor, Record, frame, frames, parse

CURSOR = "cursor"
_NAME = re.compile(r"([0-9a-f]{16})-([0-9])\.seg")


@dataclass(slots=True)
class SpoolSegment:
    """A file of a lane that holds records with numbers from `first` on."""

    path: Path
    first: int
    level: int
    size_bytes: int
    may_be_torn: bool = False
    """Whether it was the newest when the process before ended: its last record was perhaps never synced."""
    gaps: int = 0
    """Damaged places, known after `read`."""
    whole_bytes: int = 0
    """Where its last whole record ends, known after `read`."""
    reported: bool = False
    """Whether `Segments.damage` has returned them."""

    def read(self) -> list[Record]:
        """Return its whole records, ascending by number.

        Raises:
            OSError: the disk refuses.
        """
        content = self.path.read_bytes()
        items, self.whole_bytes, self.gaps = parse(content, self.first)
        self.gaps += self.whole_bytes < self.size_bytes and not self.may_be_torn
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


class Segments:
    """All lanes together."""

    def __init__(self, root: Path, segment_bytes: int, disk: Disk = DISK) -> None:
        """Read what is below `root`, mend what a power cut left, and make what is missing.

        Args:
            root: the spool's folder.
            segment_bytes: a new file is begun when one has grown so large.
            disk: what files are written with.

        Raises:
            OSError: the disk refuses.
        """
        self._root = root
        self._disk = disk
        self._segment_bytes = segment_bytes
        self._lanes = {lane: SpoolLane(root / lane) for lane in LANES}
        self._damage: list[tuple[Lane, Path, int]] = []
        self.cursor = Cursor()
        make_folder(root, disk)
        remove_unfinished(root)
        for lane_files in self._lanes.values():
            make_folder(lane_files.folder, disk)
            remove_unfinished(lane_files.folder)
            lane_files.segments = self._found(lane_files.folder)
        with contextlib.suppress(FileNotFoundError):
            read, _, _ = parse((root / CURSOR).read_bytes())
            self.cursor = next((item for item in read if isinstance(item, Cursor)), self.cursor)

    @property
    def size_bytes(self) -> int:
        """What all segments take."""
        return sum(lane_files.size_bytes for lane_files in self._lanes.values())

    def sizes(self) -> dict[Lane, int]:
        """Return what the segments of each lane take, bytes."""
        return {lane: lane_files.size_bytes for lane, lane_files in self._lanes.items()}

    def damage(self) -> list[tuple[Lane, Path, int]]:
        """Return lane, file and number of damaged places of the segments in which some were found since the last call."""
        for lane, lane_files in self._lanes.items():
            self._note_damage(lane, lane_files.segments)
        found, self._damage = self._damage, []
        return found

    def last_number(self) -> int:
        """Return the highest number ever used that is known here."""
        beyond = max(self.cursor.beyond, default=0)
        return max(self.cursor.done, beyond, *(lane_files.last_number() for lane_files in self._lanes.values()))

    def append(self, records: Sequence[Record]) -> None:
        """Put records on the disk; when this returns they are there. Numbers ascend, also from call to call.

        Raises:
            OSError: the disk refuses; none or some are there, and all may be appended again.
        """
        for lane in LANES:
            chosen = [record for record in records if record.lane == lane]
            if chosen:
                self._append(self._lanes[lane], chosen)

    def after(self, number: int, limit: int) -> list[Record]:
        """Return the `limit` oldest records above `number`, ascending over all lanes.

        Raises:
            OSError: the disk refuses.
        """
        found: list[Record] = []
        while len(found) < limit:
            heads = [
                head for lane_files in self._lanes.values() if (head := lane_files.first_after(number)) is not None
            ]
            if not heads:
                break
            found.append(min(heads, key=lambda record: record.number))
            number = found[-1].number
        return found

    def forget_through(self, number: int) -> None:
        """Remove segments of which no record is above `number`.

        Raises:
            OSError: the disk refuses.
        """
        for lane_files in self._lanes.values():
            while lane_files.segments and lane_files.segments[0].first <= number:
                newer = lane_files.segments[1].first - 1 if len(lane_files.segments) > 1 else 0
                last = newer or max((record.number for record in lane_files.records(lane_files.segments[0])), default=0)
                if last > number:
                    break
                self._remove_oldest(lane_files)

    def drop_oldest(self, lane: Lane) -> list[Record]:
        """Remove the oldest segment of a lane; return what was in it.

        Raises:
            OSError: the disk refuses.
        """
        lane_files = self._lanes[lane]
        lost: list[Record] = []
        with contextlib.suppress(OSError):  # what cannot be read any more can be removed all the same
            lost = lane_files.segments[0].read()
        self._note_damage(lane, lane_files.segments[:1])
        self._remove_oldest(lane_files)
        return lost

    def thin(self, lane: Lane, above: int, thinner: Callable[[Sequence[Record]], list[Record]], levels: int) -> bool:
        """Replace two neighbours of one level by one of the next; the oldest become the coarsest.

        Args:
            lane: whose segments.
            above: only segments above this number, which nobody is reading.
            thinner: makes fewer records of many, under numbers that were among them, the last among them.
            levels: how often at most a message may be thinned.

        Returns:
            Whether there were two such neighbours.

        Raises:
            OSError: the disk refuses.
        """
        lane_files = self._lanes[lane]
        at = _two_of_a_level(lane_files.segments[:-1], above, levels)  # the last one grows
        if at is None:
            return False
        old, young = lane_files.segments[at : at + 2]
        path = lane_files.folder / _name(old.first, old.level + 1)
        content = frames(thinner([*old.read(), *young.read()]), old.first)
        write_atomic(path, content, self._disk)
        # The older goes last, and surely so: as long as it is there its name tells that it was replaced.
        self._disk.unlink(young.path)
        sync_folder(lane_files.folder, self._disk)
        self._disk.unlink(old.path)
        self._note_damage(lane, (old, young))
        lane_files.segments[at : at + 2] = [SpoolSegment(path, old.first, old.level + 1, len(content))]
        return True

    def save_cursor(self, cursor: Cursor) -> None:
        """Remember how far the broker has acknowledged.

        Raises:
            OSError: the disk refuses.
        """
        write_atomic(self._root / CURSOR, frame(cursor), self._disk)
        self.cursor = cursor

    def close(self) -> None:
        """Let go of all files. Idempotent."""
        for lane_files in self._lanes.values():
            self._stop_growing(lane_files)

    def _note_damage(self, lane: Lane, segments: Sequence[SpoolSegment]) -> None:
        for segment in segments:
            if segment.gaps and not segment.reported:
                segment.reported = True
                self._damage.append((lane, segment.path, segment.gaps))

    def _found(self, folder: Path) -> list[SpoolSegment]:
        """Return a lane's segments by their names, those left out that a thinner one has replaced."""
        named = [(path, match) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
        found = [SpoolSegment(path, int(match[1], 16), int(match[2]), path.stat().st_size) for path, match in named]
        found.sort(key=lambda segment: (segment.first, -segment.level))
        kept: list[SpoolSegment] = []
        replaced_through = 0
        for at, segment in enumerate(found):
            successor = found[at + 1] if at + 1 < len(found) else None
            if segment.first <= replaced_through or segment.size_bytes == 0:
                self._disk.unlink(segment.path)
                continue
            if successor is not None and successor.first == segment.first:
                replaced_through = max((record.number for record in segment.read()), default=0)
            kept.append(segment)
        return [segment for segment in kept if segment is not kept[-1] or self._is_worth_keeping(segment)]

    def _is_worth_keeping(self, last: SpoolSegment) -> bool:
        """Cut a torn end off the newest segment; return whether it holds anything: else its name would be in the way."""
        last.may_be_torn = True
        if last.read():
            if last.whole_bytes < last.size_bytes:
                with contextlib.suppress(OSError):  # a disk that may only be read
                    self._disk.truncate(last.path, last.whole_bytes)
                    last.size_bytes, last.may_be_torn = last.whole_bytes, False
            return True
        self._disk.unlink(last.path)
        return False

    def _append(self, lane_files: SpoolLane, records: Sequence[Record]) -> None:
        self._mend(lane_files)
        if lane_files.growing is not None and lane_files.growing.size_bytes >= self._segment_bytes:
            self._stop_growing(lane_files)
        begun = lane_files.growing is None
        if lane_files.growing is None:
            self._begin(lane_files, records[0].number)
        growing, segment = lane_files.growing, lane_files.segments[-1]
        assert growing is not None  # noqa: S101 - it was begun above
        lane_files.doubtful_from = segment.size_bytes
        growing.append(frames(records, segment.first))
        growing.sync()
        if begun:
            sync_folder(lane_files.folder, self._disk)
        lane_files.doubtful_from = None
        segment.size_bytes = growing.size_bytes

    def _begin(self, lane_files: SpoolLane, first: int) -> None:
        path = lane_files.folder / _name(first, 0)
        lane_files.growing = AppendFile(path, self._disk)
        lane_files.segments.append(SpoolSegment(path, first, 0, 0))

    def _mend(self, lane_files: SpoolLane) -> None:
        """Cut off what a failed write may have left; the rest of that segment was synced."""
        if lane_files.doubtful_from is None:
            return
        segment = lane_files.segments[-1]
        self._stop_growing(lane_files)
        if lane_files.doubtful_from:
            self._disk.truncate(segment.path, lane_files.doubtful_from)
        else:
            self._disk.unlink(segment.path)
            lane_files.segments.pop()
        lane_files.doubtful_from = None

    def _remove_oldest(self, lane_files: SpoolLane) -> None:
        if len(lane_files.segments) == 1:
            self._stop_growing(lane_files)
            lane_files.doubtful_from = None
        self._disk.unlink(lane_files.segments[0].path)
        del lane_files.segments[0]

    def _stop_growing(self, lane_files: SpoolLane) -> None:
        if lane_files.growing is not None:
            lane_files.growing.close()
            lane_files.growing = None


def _name(first: int, level: int) -> str:
    return f"{first:016x}-{level}.seg"


def _two_of_a_level(segments: Sequence[SpoolSegment], above: int, levels: int) -> int | None:
    """Return where the two oldest neighbours of the commonest level stand that may still be thinned."""
    pairs: dict[int, list[int]] = {}
    for at, (old, young) in enumerate(pairwise(segments)):
        if old.level == young.level < levels and old.first > above:
            pairs.setdefault(old.level, []).append(at)
    return max(pairs.values(), key=lambda places: (len(places), -places[0]))[0] if pairs else None
