"""Keeps on disk what must not be lost until the broker has it: bounded in bytes, and as sparing of an SD card as can be.

put ─▶ tail (memory, outlives a kill) ─▶ pending ──5 s or 64 records──▶ segments (disk, outlive a power cut)
             delivered before that: nothing is written ◀┘                   │
take ◀── ready ◀─────────────────────────────────────────────────── read back, oldest first

What the broker acknowledges within the commit window never touches the disk. Reading is a transaction: what was taken
counts as delivered when `delivered` says so, and is taken again after `rewind`.
"""

from __future__ import annotations

import contextlib
import errno
from collections import Counter, deque
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from inferd.config.mqtt import Mqtt
from inferd.records import Lane, Message
from inferd.system.clock import EARLIEST_S, Clock
from inferd.system.files.atomic import DISK, Disk
from inferd.system.threads import Lock
from inferd.telemetry.spool.downsampling import LEVELS, thinner
from inferd.telemetry.spool.ledger import Ledger
from inferd.telemetry.spool.record_codec import LANES, Cursor, Delivered, Record, frame, pieces
from inferd.telemetry.spool.segments import Segments
from inferd.telemetry.spool.write_ahead import WriteAhead

COMMIT_RECORDS = 64
READ_AHEAD = 64  # records; at 20 kB each that is 1.3 MB at the most
MAX_SEGMENT_BYTES = 256 << 10
SEGMENTS = 16  # at least so many fit
THIN_SHARE = 0.25  # of the bound: above it, the oldest metrics are thinned
RETRY_S = 10.0  # after the disk refused
IDLE_S = 3600.0


class SpoolLocation(msgspec.Struct, frozen=True):
    """Where a spool lies and how large it may grow.

    Attributes:
        folder: of the segments.
        tail: of what has just come; best in memory that outlives the process.
        limit_bytes: of all segments together.
        commit_s: how long a power cut may reach back.
    """

    folder: Path
    tail: Path
    limit_bytes: int
    commit_s: float


def spool_location(settings: Mqtt, folder: Path, tail: Path) -> SpoolLocation | None:
    """Return where the spool of a configuration lies; None where it wants none."""
    return SpoolLocation(folder, tail, settings.spool_mb * 1_000_000, settings.commit_s) if settings.spool_mb else None


class Spool:
    """`put`, `take`, `delivered` and `rewind` are for any thread and never wait for a disk; `turn` is for one that may.

    Attributes:
        dropped: what the bounds have cost, by lane.
    """

    def __init__(
        self,
        place: SpoolLocation,
        clock: Clock,
        wake: Callable[[], None],
        tell_ready: Callable[[], None],
        disk: Disk = DISK,
    ) -> None:
        """Read what is there. Where the disk refuses, everything is kept in memory, as far as that goes.

        Args:
            place: where, and how much.
            clock: for the commit window, and for when something was published.
            wake: called where `turn` should be called before its time; it must not wait.
            tell_ready: called where `take` may have something again; it must not wait.
            disk: what files are written with.
        """
        self.dropped: Counter[Lane] = Counter()
        self._place = place
        self._segment_bytes = min(MAX_SEGMENT_BYTES, place.limit_bytes // SEGMENTS)
        self._clock = clock
        self._wake = wake
        self._tell_ready = tell_ready
        self._disk = disk
        self._lock = Lock()
        self._faults: deque[str] = deque(maxlen=16)
        self._last_fault = ""
        self._dirty_since_ns: int | None = None
        self._not_before_ns = 0
        self._tail = WriteAhead(place.tail, disk)
        self._segments: Segments | None = None
        try:
            self._segments = self._opened()
        except OSError as exc:
            self._refused(exc)
        self._ledger, self._number = self._recovered()

    def put(self, lane: Lane, message: Message) -> int:
        """Take a message; return its number."""
        with self._lock:
            self._number += 1
            record = Record(self._number, lane, self._clock.wall_s(), message.topic, message.payload)
            self._tail.add(record)
            for lost in self._ledger.hold(record):
                self._count(lost, 1)
            self._touch()
            if self._ledger.waiting == COMMIT_RECORDS:
                self._wake()
        return record.number

    def take(self, before: int, fits: Callable[[Record], bool] = lambda _: True) -> Record | None:
        """Return the oldest record below `before` that is neither delivered nor taken.

        None where there is none (yet), or where it does not fit.
        """
        with self._lock:
            while (record := self._ledger.oldest()) is not None:
                if record.number >= before or not fits(record):
                    return None
                if self._ledger.take(record):
                    return record
                self._touch()  # its segment may be gone now
            if not self._ledger.drained:
                self._wake()
        return None

    def delivered(self, number: int) -> None:
        """Count a record as delivered: the broker has acknowledged it."""
        with self._lock:
            self._tail.add(Delivered(number))
            self._ledger.delivered(number)
            self._touch()

    def rewind(self) -> None:
        """Have everything that was taken and not delivered taken again."""
        with self._lock:
            self._ledger.rewind()

    def faults(self) -> list[str]:
        """Return what a person should hear of: faults of the disk, what the bounds have cost. Each is returned once."""
        with self._lock:
            told = list(self._faults)
            self._faults.clear()
        return told

    @property
    def size_bytes(self) -> int:
        """What the spool takes on the disk."""
        return self._segments.size_bytes if self._segments else 0

    def turn(self) -> float:
        """Write and read what is due; return in how many seconds something will be, unless `wake` is called before."""
        for step in (self._write, self._read_ahead):
            try:
                step()
            except OSError as exc:
                self._refused(exc)
        self._report_damage()
        pause_s = (self._not_before_ns - self._clock.monotonic_ns()) / 1e9
        return max(0.0, pause_s, self._due_s())

    def close(self) -> None:
        """Put on the disk what is not delivered, and let go of all files. Idempotent."""
        try:
            if self._segments is not None and self._dirty_since_ns is not None:
                self._commit()
        except OSError as exc:
            self._refused(exc)
        if self._segments is not None:
            self._segments.close()
        self._tail.close()

    def _opened(self) -> Segments:
        return Segments(self._place.folder, self._segment_bytes, self._disk)

    def _write(self) -> None:
        """Commit if it is time; not for a while after the disk refused."""
        if self._clock.monotonic_ns() < self._not_before_ns:
            return
        if self._segments is None:
            self._open_late()
        if self._due_s() <= 0:
            self._commit()
            self._last_fault = ""

    def _open_late(self) -> None:
        """Use a disk that refused when we began."""
        segments = self._opened()
        with self._lock:
            self._segments = segments
            self._ledger.position = segments.cursor.done
            self._ledger.read_anew()

    def _recovered(self) -> tuple[Ledger, int]:
        """Return what the process before left, and the highest number that was ever given."""
        # Above all that may be on a disk that cannot be read now, also where the clock begins in 1970.
        blindly = int(max(self._clock.wall_s(), EARLIEST_S)) << 20
        last = self._segments.last_number() if self._segments else blindly
        cursor = self._segments.cursor if self._segments else Cursor()
        ledger = Ledger(Cursor(cursor.done, (*cursor.beyond, *self._tail.delivered)))
        for number in sorted(self._tail.records):
            if (number > last or not self._segments) and number not in self._tail.delivered:
                ledger.hold(self._tail.records[number])
        if self._tail.records:
            self._touch()
        return ledger, max(last, *self._tail.delivered, *self._tail.records, 0)

    def _touch(self) -> None:
        if self._dirty_since_ns is None:
            self._dirty_since_ns = self._clock.monotonic_ns()
            self._wake()

    def _due_s(self) -> float:
        with self._lock:
            if self._dirty_since_ns is None:
                return IDLE_S
            if self._ledger.waiting >= COMMIT_RECORDS:
                return 0.0
            return self._place.commit_s - (self._clock.monotonic_ns() - self._dirty_since_ns) / 1e9

    def _commit(self) -> None:
        """Put what is pending on the disk, and what has been delivered out of the way."""
        segments = self._segments
        if segments is None:
            return
        with self._lock:
            batch = self._ledger.pending
            self._tail.turn_over()
            self._dirty_since_ns = None
        try:
            for piece in pieces(batch, self._segment_bytes):
                self._make_room(segments, sum(len(frame(record)) for record in piece))
                segments.append(piece)
                with self._lock:
                    self._ledger.committed(piece)
            self._tidy(segments)
        except OSError:
            with self._lock:
                self._touch()
            raise
        with self._lock:
            self._tail.committed()

    def _tidy(self, segments: Segments) -> None:
        """Remove what is delivered, and remember how far that is, as long as there is anything left to be delivered."""
        with self._lock:
            self._ledger.prune()
            cursor = self._ledger.cursor
        segments.forget_through(cursor.done)
        if segments.size_bytes and cursor != segments.cursor:
            segments.save_cursor(cursor)

    def _read_ahead(self) -> None:
        segments = self._segments
        with self._lock:
            if self._ledger.ready or self._ledger.drained:
                return
            reading, position = self._ledger.reading, self._ledger.position
        records = segments.after(position, READ_AHEAD) if segments else []
        with self._lock:
            if reading == self._ledger.reading:
                self._ledger.ready.extend(records)
                self._ledger.drained = not records
        self._tell_ready()

    def _make_room(self, segments: Segments, wanted_bytes: int) -> None:
        """Thin the oldest metrics where they take more than their share; then drop the oldest bulk."""
        with self._lock:
            above = max(self._ledger.position, *(record.number for record in self._ledger.ready), 0)
        while segments.sizes()["metrics"] > self._place.limit_bytes * THIN_SHARE:
            if not segments.thin("metrics", above, thinner, LEVELS):
                break
        while segments.size_bytes + wanted_bytes > self._place.limit_bytes:
            lane = victim(segments.sizes())
            if lane is None:
                break
            self._drop_oldest(segments, lane)

    def _drop_oldest(self, segments: Segments, lane: Lane) -> None:
        records = segments.drop_oldest(lane)
        with self._lock:
            self._count(lane, self._ledger.undelivered(records))
            self._ledger.read_anew()

    def _report_damage(self) -> None:
        for lane, path, gaps in self._segments.damage() if self._segments else ():
            with self._lock:
                self.dropped[lane] += gaps  # at least: what stood there cannot be known
                self._faults.append(
                    f"{path}: damaged in {gaps} places, at least as many messages are lost; check the disk or SD card"
                )

    def _count(self, lane: Lane, lost: int) -> None:
        before = self.dropped[lane]
        self.dropped[lane] += lost
        if before.bit_length() < self.dropped[lane].bit_length():  # at 1, 2, 4, 8 ...: a flood is no flood of news
            self._faults.append(
                f"the spool is full: {self.dropped[lane]} messages of {lane!r} are lost so far; the broker has been away"
                " for long, or mqtt.spool_mb is too small"
            )

    def _refused(self, exc: OSError) -> None:
        why = f"{self._place.folder}: {exc.strerror or exc}; missed messages wait in memory until that is fixed"
        if why != self._last_fault:
            self._faults.append(why)
        self._last_fault = why
        self._not_before_ns = self._clock.monotonic_ns() + round(RETRY_S * 1e9)
        if exc.errno == errno.ENOSPC and self._segments is not None:
            lane = victim({**self._segments.sizes(), "alert": 0, "event": 0})
            if lane is not None:
                with contextlib.suppress(OSError):
                    self._drop_oldest(self._segments, lane)  # old bulk makes room for what comes


def victim(sizes: Mapping[Lane, int]) -> Lane | None:
    """Return the lane that loses its oldest segment: bulk first, alerts last; None where there is nothing to lose."""
    return next((lane for lane in reversed(LANES) if sizes[lane]), None)
