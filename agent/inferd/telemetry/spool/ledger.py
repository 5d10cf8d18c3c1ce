"""What the spool knows of its records: which wait in memory, which are under way, which are delivered. Pure; no disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from inferd.records import Lane
from inferd.telemetry.spool.record_codec import LANES, Cursor, Record

MAX_BEYOND = 10_000  # delivered out of turn; what is forgotten of them arrives twice
MAX_PENDING_BYTES = 2 << 20  # while the disk refuses; then the oldest bulk goes


class Ledger:
    """Records in the order of their numbers. Not for two threads at once: its owner guards it.

    Attributes:
        position: everything up to this number was taken, or is delivered or gone.
        drained: whether the disk holds nothing above what was read back.
        reading: counts how often reading began anew; what was read back before is of no use after.
        ready: read back from the disk, ascending.
    """

    def __init__(self, cursor: Cursor) -> None:
        """Begin behind what `cursor` says is delivered."""
        self.position = cursor.done
        self.drained = False
        self.reading = 0
        self.ready: deque[Record] = deque()
        self._pending: dict[int, Record] = {}
        self._pending_bytes = 0
        self._taken: set[int] = set()
        self._beyond = {number for number in cursor.beyond if number > cursor.done}

    @property
    def pending(self) -> list[Record]:
        """What is in memory only, oldest first."""
        return list(self._pending.values())

    @property
    def waiting(self) -> int:
        """How many records are in memory only."""
        return len(self._pending)

    @property
    def done(self) -> int:
        """The number up to which everything is delivered or gone."""
        return min(self._taken) - 1 if self._taken else self.position

    @property
    def cursor(self) -> Cursor:
        """What must outlive the process of all this."""
        return Cursor(self.done, tuple(sorted(self._beyond)))

    def hold(self, record: Record) -> list[Lane]:
        """Keep a record in memory; return the lanes of those that had to go for it, oldest bulk first."""
        self._pending[record.number] = record
        self._pending_bytes += len(record.payload)
        lost: list[Lane] = []
        while self._pending_bytes > MAX_PENDING_BYTES:
            lanes = {one.lane for one in self._pending.values()}
            lost.append(next(lane for lane in reversed(LANES) if lane in lanes))
            self._let_go(next(number for number, one in self._pending.items() if one.lane == lost[-1]))
        return lost

    def oldest(self) -> Record | None:
        """Return the oldest record above the position; None where there is none, or none was read back yet."""
        while self.ready and self.ready[0].number <= self.position:
            self.ready.popleft()
        if not self.ready and not self.drained:
            return None
        held = next((one for number, one in self._pending.items() if number > self.position), None)
        read = self.ready[0] if self.ready else held
        return min((read, held), key=lambda one: one.number) if read is not None and held is not None else read

    def take(self, record: Record) -> bool:
        """Move on to `record`; return whether it has to be sent, for it may be delivered already."""
        self.position = record.number
        if record.number in self._beyond:
            return False
        self._taken.add(record.number)
        return True

    def delivered(self, number: int) -> None:
        """Count a record as delivered."""
        self._taken.discard(number)
        if not self._let_go(number) and number > self.done:
            self._beyond.add(number)

    def committed(self, batch: Sequence[Record]) -> None:
        """Count these as being on the disk; some may have been delivered meanwhile."""
        done = self.done
        for record in batch:
            if not self._let_go(record.number) and record.number > done and record.number not in self._taken:
                self._beyond.add(record.number)
        if batch:
            self.drained = False

    def prune(self) -> None:
        """Forget what was delivered out of turn and is behind us by now."""
        done = self.done
        self._beyond = set(sorted(number for number in self._beyond if number > done)[-MAX_BEYOND:])

    def rewind(self) -> None:
        """Begin again behind what is delivered."""
        self.position = self.done
        self._taken.clear()
        self.read_anew()

    def read_anew(self) -> None:
        """Forget what was read back."""
        self.ready.clear()
        self.reading += 1
        self.drained = False

    def undelivered(self, records: Sequence[Record]) -> int:
        """Return how many of these nobody has received yet."""
        return sum(
            one.number in self._taken or (one.number > self.position and one.number not in self._beyond)
            for one in records
        )

    def _let_go(self, number: int) -> bool:
        record = self._pending.pop(number, None)
        if record is not None:
            self._pending_bytes -= len(record.payload)
        return record is not None
