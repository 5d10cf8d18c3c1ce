"""The spool's files: for each lane a folder of segments, in each of which one record follows the other.

spool/<lane>/<number>-<level>.seg   records from `number` on; of level n are 2^n messages thinned to one
spool/cursor                        how far the broker has acknowledged; lost, it costs duplicates only

What `append` has returned from is on the disk. A segment is only ever appended to, replaced by a thinner one that covers
its numbers, or removed. Owned by one thread; whatever the disk refuses is an OSError and leaves what was there.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

from inferd.records import Lane
from inferd.system.files.append_only import AppendFile
from inferd.system.files.atomic import DISK, Disk, make_folder, remove_unfinished, sync_folder, write_atomic
from inferd.telemetry.spool.lane import SpoolLane, SpoolSegment
from inferd.telemetry.spool.record_codec import LANES, Cursor, Record, frame, frames, parse

CURSOR = "cursor"
_NAME = re.compile(r"([0-9a-f]{16})-([0-9])\.seg")


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
        self._shelves = {lane: SpoolLane(root / lane) for lane in LANES}
        self.cursor = Cursor()
        make_folder(root, disk)
        remove_unfinished(root)
        for shelf in self._shelves.values():
            make_folder(shelf.folder, disk)
            remove_unfinished(shelf.folder)
            shelf.segments = self._found(shelf.folder)
        with contextlib.suppress(FileNotFoundError):
            read, _ = parse((root / CURSOR).read_bytes())
            self.cursor = next((item for item in read if isinstance(item, Cursor)), self.cursor)

    @property
    def size_bytes(self) -> int:
        """What all segments take."""
        return sum(shelf.size_bytes for shelf in self._shelves.values())

    def sizes(self) -> dict[Lane, int]:
        """Return what the segments of each lane take, bytes."""
        return {lane: shelf.size_bytes for lane, shelf in self._shelves.items()}

    def last_number(self) -> int:
        """Return the highest number ever used that is known here."""
        beyond = max(self.cursor.beyond, default=0)
        return max(self.cursor.done, beyond, *(shelf.last_number() for shelf in self._shelves.values()))

    def append(self, records: Sequence[Record]) -> None:
        """Put records on the disk; when this returns they are there. Numbers ascend, also from call to call.

        Raises:
            OSError: the disk refuses; none or some are there, and all may be appended again.
        """
        for lane in LANES:
            chosen = [record for record in records if record.lane == lane]
            if chosen:
                self._append(self._shelves[lane], chosen)

    def after(self, number: int, limit: int) -> list[Record]:
        """Return the `limit` oldest records above `number`, ascending over all lanes.

        Raises:
            OSError: the disk refuses.
        """
        found: list[Record] = []
        while len(found) < limit:
            heads = [head for shelf in self._shelves.values() if (head := shelf.first_after(number)) is not None]
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
        for shelf in self._shelves.values():
            while shelf.segments and shelf.segments[0].first <= number:
                newer = shelf.segments[1].first - 1 if len(shelf.segments) > 1 else 0
                last = newer or max((record.number for record in shelf.records(shelf.segments[0])), default=0)
                if last > number:
                    break
                self._remove_oldest(shelf)

    def drop_oldest(self, lane: Lane) -> list[Record]:
        """Remove the oldest segment of a lane; return what was in it.

        Raises:
            OSError: the disk refuses.
        """
        shelf = self._shelves[lane]
        lost: list[Record] = []
        with contextlib.suppress(OSError):  # what cannot be read any more can be removed all the same
            lost = shelf.segments[0].read()
        self._remove_oldest(shelf)
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
        shelf = self._shelves[lane]
        at = _two_of_a_level(shelf.segments[:-1], above, levels)  # the last one grows
        if at is None:
            return False
        old, young = shelf.segments[at : at + 2]
        path = shelf.folder / _name(old.first, old.level + 1)
        content = frames(thinner([*old.read(), *young.read()]), old.first)
        write_atomic(path, content, self._disk)
        # The older goes last, and surely so: as long as it is there its name tells that it was replaced.
        self._disk.unlink(young.path)
        sync_folder(shelf.folder, self._disk)
        self._disk.unlink(old.path)
        shelf.segments[at : at + 2] = [SpoolSegment(path, old.first, old.level + 1, len(content))]
        return True

    def save_cursor(self, cursor: Cursor) -> None:
        """Remember how far the broker has acknowledged.

        Raises:
            OSError: the disk refuses.
        """
        write_atomic(self._root / CURSOR, frame(cursor), self._disk)
        self.cursor = cursor

    def close(self) -> None:
        """Let go of all files. Twice is fine."""
        for shelf in self._shelves.values():
            self._stop_growing(shelf)

    def _found(self, folder: Path) -> list[SpoolSegment]:
        """Return a lane's segments by their names, those left out that a thinner one has replaced."""
        named = [(path, match) for path in folder.iterdir() if (match := _NAME.fullmatch(path.name))]
        found = [SpoolSegment(path, int(match[1], 16), int(match[2]), path.stat().st_size) for path, match in named]
        found.sort(key=lambda segment: (segment.first, -segment.level))
        kept: list[SpoolSegment] = []
        replaced_through = 0
        for at, segment in enumerate(found):
            twin = found[at + 1] if at + 1 < len(found) else None
            if segment.first <= replaced_through or segment.size_bytes == 0:
                self._disk.unlink(segment.path)
                continue
            if twin is not None and twin.first == segment.first:
                replaced_through = max((record.number for record in segment.read()), default=0)
            kept.append(segment)
        return [segment for segment in kept if segment is not kept[-1] or self._is_worth_keeping(segment)]

    def _is_worth_keeping(self, last: SpoolSegment) -> bool:
        """Whether the newest segment holds anything; a name without content would stand in the way of the next one."""
        if last.read():
            return True
        self._disk.unlink(last.path)
        return False

    def _append(self, shelf: SpoolLane, records: Sequence[Record]) -> None:
        self._mend(shelf)
        if shelf.growing is not None and shelf.growing.size_bytes >= self._segment_bytes:
            self._stop_growing(shelf)
        begun = shelf.growing is None
        if shelf.growing is None:
            self._begin(shelf, records[0].number)
        growing, segment = shelf.growing, shelf.segments[-1]
        assert growing is not None  # noqa: S101 - it was begun above
        shelf.doubtful_from = segment.size_bytes
        growing.append(frames(records, segment.first))
        growing.sync()
        if begun:
            sync_folder(shelf.folder, self._disk)
        shelf.doubtful_from = None
        segment.size_bytes = growing.size_bytes

    def _begin(self, shelf: SpoolLane, first: int) -> None:
        path = shelf.folder / _name(first, 0)
        shelf.growing = AppendFile(path, self._disk)
        shelf.segments.append(SpoolSegment(path, first, 0, 0))

    def _mend(self, shelf: SpoolLane) -> None:
        """Cut off what a failed write may have left; the rest of that segment was synced."""
        if shelf.doubtful_from is None:
            return
        segment = shelf.segments[-1]
        self._stop_growing(shelf)
        if shelf.doubtful_from:
            self._disk.truncate(segment.path, shelf.doubtful_from)
        else:
            self._disk.unlink(segment.path)
            shelf.segments.pop()
        shelf.doubtful_from = None

    def _remove_oldest(self, shelf: SpoolLane) -> None:
        if len(shelf.segments) == 1:
            self._stop_growing(shelf)
            shelf.doubtful_from = None
        self._disk.unlink(shelf.segments[0].path)
        del shelf.segments[0]

    def _stop_growing(self, shelf: SpoolLane) -> None:
        if shelf.growing is not None:
            shelf.growing.close()
            shelf.growing = None


def _name(first: int, level: int) -> str:
    return f"{first:016x}-{level}.seg"


def _two_of_a_level(segments: Sequence[SpoolSegment], above: int, levels: int) -> int | None:
    """Return where the two oldest neighbours of the commonest level stand that may still be thinned."""
    pairs: dict[int, list[int]] = {}
    for at, (old, young) in enumerate(pairwise(segments)):
        if old.level == young.level < levels and old.first > above:
            pairs.setdefault(old.level, []).append(at)
    return max(pairs.values(), key=lambda places: (len(places), -places[0]))[0] if pairs else None
