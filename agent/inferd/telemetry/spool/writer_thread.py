"""The spool and the thread that writes it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from inferd.system import threads
from inferd.system.clock import Clock
from inferd.telemetry.spool.location import SpoolLocation
from inferd.telemetry.spool.spool import Spool

log = logging.getLogger(__name__)


class SpoolWriter:
    """Owns a spool; its thread does what waits for the disk, so that neither control nor the link ever does."""

    def __init__(self, place: SpoolLocation, clock: Clock, tell_ready: Callable[[], None]) -> None:
        """Read what is there and start to write.

        Args:
            place: where the spool lies.
            clock: see `Spool`.
            tell_ready: see `Spool`.
        """
        self._due = threads.Event()
        self._closing = False
        self.spool = Spool(place, clock, self._due.set, tell_ready)
        self._thread = threads.start("spool", self._run)

    def close(self, timeout_s: float) -> None:
        """Put on the disk what is not delivered; give up after `timeout_s`. Twice is fine."""
        self._closing = True
        self._due.set()
        for name in threads.join_all([self._thread], timeout_s):
            log.warning("thread %s still waits for the disk after %.1f s; it is left behind", name, timeout_s)

    def _run(self) -> None:
        while not self._closing:
            pause_s = self.spool.turn()
            self._due.wait(pause_s)
            self._due.clear()
        self.spool.close()
