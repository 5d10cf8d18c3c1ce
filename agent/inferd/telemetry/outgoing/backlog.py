"""All that waits for the broker, in memory and on disk, and what of it leaves next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inferd.records import LinkEvent, Message
from inferd.system.clock import Clock
from inferd.system.threads import Lock
from inferd.telemetry.outgoing.batch_limit import BatchLimit
from inferd.telemetry.outgoing.batches import Batch, BatchBounds, Parcel, TimedMessage, batch_of, together
from inferd.telemetry.outgoing.outbox import Outbox
from inferd.telemetry.spool.location import SpoolLocation
from inferd.telemetry.spool.writer_thread import SpoolWriter

FOREVER = 1 << 62


class Backlog:
    """An outbox and, where there is a place for it, a spool. Any thread may put; one thread takes."""

    def __init__(
        self, max_live: int, place: SpoolLocation | None, clock: Clock, fresh_s: float, tell_ready: Callable[[], None]
    ) -> None:
        """Read what an earlier process left.

        Args:
            max_live: messages of qos 0 that are kept.
            place: of the spool; None for none.
            clock: for what is still of its moment.
            fresh_s: how long a message is.
            tell_ready: called where there is something to take again.
        """
        self.outbox = Outbox(max_live)
        self._storage = SpoolWriter(place, clock, tell_ready) if place else None
        self._clock = clock
        self._fresh_ns = round(fresh_s * 1e9)
        self._caution = BatchLimit(clock)
        self._handing = Lock()
        """So that nobody takes from the spool what is on its way into the outbox."""

    def put(self, message: Message) -> None:
        """Take a message."""
        with self._handing:
            number = self._storage.spool.put(message.lane, message) if self._storage and message.lane else 0
            self.outbox.put(message, number, self._clock.monotonic_ns())

    def next_live(self, *, window: bool) -> TimedMessage | None:
        """Return what leaves next of what is still of its moment; without `window` only what wants no acknowledgement."""
        self.outbox.age(self._clock.monotonic_ns() - self._fresh_ns)
        return self.outbox.take() if window else self.outbox.take_live()

    def next_missed(self, on_their_way: Sequence[Parcel], hold: BatchBounds) -> Batch | None:
        """Return what leaves next of what has missed its moment; what was sent live and may yet arrive has not.

        Args:
            on_their_way: sent, and not acknowledged.
            hold: how much a batch takes; it gets less where batches have cost the connection.
        """
        hold = hold.shrunk(self._caution.halvings())
        if self._storage is not None:
            spool = self._storage.spool
            sent = [one.number for one in on_their_way if isinstance(one, TimedMessage) and one.number]
            with self._handing:
                before = min([*sent, self.outbox.oldest_kept() or FOREVER])
                records = together(lambda fits: spool.take(before, fits), hold)
            if records:
                return batch_of(records)
        return self.outbox.take_late(hold)

    def delivered(self, parcel: Parcel) -> None:
        """Count it as being with the broker."""
        if isinstance(parcel, Batch):
            self._caution.delivered()
        if self._storage:
            for number in parcel.numbers:
                self._storage.spool.delivered(number)

    def lost(self, on_their_way: Sequence[Parcel]) -> None:
        """Take back what the broker has not acknowledged, for the connection was lost."""
        if any(isinstance(one, Batch) for one in on_their_way):
            self._caution.lost()
        self.outbox.give_back(on_their_way)
        if self._storage:
            self._storage.spool.rewind()

    def dropped(self) -> int:
        """Return how many messages the bounds have cost since the start."""
        return self.outbox.dropped + (sum(self._storage.spool.dropped.values()) if self._storage else 0)

    def news(self) -> list[LinkEvent]:
        """Return what a person should hear of the spool since the last time."""
        return [LinkEvent("link.lossy", why) for why in (self._storage.spool.news() if self._storage else ())]

    def close(self, timeout_s: float) -> None:
        """Put on the disk what is not delivered; give up after `timeout_s`. Twice is fine."""
        if self._storage:
            self._storage.close(timeout_s)
