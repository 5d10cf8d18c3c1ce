"""All messages that wait for the broker, in memory and on disk, and which of them leaves next."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from inferd.records import LinkEvent, Message
from inferd.system import threads
from inferd.system.clock import Clock
from inferd.telemetry.outgoing.batches import Batch, BatchBounds, BatchLimit, Parcel, TimedMessage, batch_of, together
from inferd.telemetry.outgoing.outbox import Outbox
from inferd.telemetry.spool.spool import Spool, SpoolLocation

FOREVER = 1 << 62

log = logging.getLogger(__name__)


class Backlog:
    """An outbox and, where a location is given, a spool. Any thread may put messages; one thread sends them.

    The spool has a thread of its own: a disk that hangs must not delay live messages.
    """

    def __init__(
        self,
        max_live: int,
        location: SpoolLocation | None,
        clock: Clock,
        fresh_s: float,
        notify_ready: Callable[[], None],
    ) -> None:
        """Read what an earlier process left on the disk, and start the spool's thread.

        Args:
            max_live: how many QoS 0 messages are kept.
            location: of the spool; None for none.
            clock: for the age of messages.
            fresh_s: up to this age a message goes to its live topic.
            notify_ready: called when records were read back from the disk.
        """
        self.outbox = Outbox(max_live)
        self._clock = clock
        self._fresh_ns = round(fresh_s * 1e9)
        self._batch_limit = BatchLimit(clock)
        self._put_lock = threads.Lock()
        """Keeps `next_missed` from a record that is on its way into the outbox."""
        self._disk_due = threads.Event()
        self._closing = False
        self._spool = Spool(location, clock, self._disk_due.set, notify_ready) if location else None
        self._spool_thread = threads.start("spool", self._write_spool) if location else None

    def put(self, message: Message) -> None:
        """Add a message."""
        with self._put_lock:
            number = self._spool.put(message.lane, message) if self._spool and message.lane else 0
            self.outbox.put(message, number, self._clock.monotonic_ns())

    def next_live(self, *, window: bool) -> TimedMessage | None:
        """Return the next live message; QoS 0 only if the in-flight window is full (`window` is False)."""
        self.outbox.age(self._clock.monotonic_ns() - self._fresh_ns)
        return self.outbox.pop() if window else self.outbox.pop_live()

    def next_missed(self, in_flight: Sequence[Parcel], bounds: BatchBounds) -> Batch | None:
        """Return the next batch of missed messages; those in flight are not missed yet.

        Args:
            in_flight: sent, and not acknowledged.
            bounds: how much a batch may hold; less where batches have cost the connection.
        """
        bounds = bounds.shrunk(self._batch_limit.halvings())
        if (spool := self._spool) is not None:
            sent = [one.number for one in in_flight if isinstance(one, TimedMessage) and one.number]
            with self._put_lock:
                before = min([*sent, self.outbox.oldest_kept() or FOREVER])
                records = together(lambda fits: spool.take(before, fits), bounds)
            if records:
                return batch_of(records)
        return self.outbox.pop_missed(bounds)

    def delivered(self, parcel: Parcel) -> None:
        """Record that the broker has acknowledged this."""
        if isinstance(parcel, Batch):
            self._batch_limit.delivered()
        if self._spool:
            for number in parcel.numbers:
                self._spool.delivered(number)

    def lost(self, in_flight: Sequence[Parcel]) -> None:
        """Queue again what the broker had not acknowledged when the connection was lost."""
        if any(isinstance(one, Batch) for one in in_flight):
            self._batch_limit.lost()
        self.outbox.give_back(in_flight)
        if self._spool:
            self._spool.rewind()

    def dropped(self) -> int:
        """Return how many messages the bounds have cost since the start."""
        return self.outbox.dropped + (sum(self._spool.dropped.values()) if self._spool else 0)

    def events(self) -> list[LinkEvent]:
        """Return the spool's faults and losses since the last call."""
        return [LinkEvent("link.lossy", why) for why in (self._spool.faults() if self._spool else ())]

    def close(self, timeout_s: float) -> None:
        """Put on the disk what is not delivered; give up after `timeout_s`. Idempotent."""
        self._closing = True
        self._disk_due.set()
        for name in threads.join_all([self._spool_thread] if self._spool_thread else [], timeout_s):
            log.warning("thread %s still waits for the disk after %.1f s; abandoned", name, timeout_s)

    def _write_spool(self) -> None:
        assert self._spool is not None  # noqa: S101 - the thread is started only where there is one
        while not self._closing:
            self._disk_due.wait(self._spool.turn())
            self._disk_due.clear()
        self._spool.close()
