"""Watches the wall clock: reports when it was set, and whether messages may be dated by it. No duration is taken from it."""

from __future__ import annotations

import logging
from collections.abc import Callable

from inferd.control.reporting.publisher import Publisher
from inferd.system.clock import Clock, Jumps, is_unsynchronised

log = logging.getLogger(__name__)

LOOK_S = 1.0


class ClockWatch:
    """Owned by control's main thread."""

    def __init__(
        self, publisher: Publisher, clock: Clock, unsynchronised: Callable[[float], bool] = is_unsynchronised
    ) -> None:
        """Judge the clock as it is now.

        Args:
            publisher: marks its messages while the clock cannot be trusted.
            clock: the one that is watched.
            unsynchronised: given the wall clock's seconds, whether they are known to be wrong.
        """
        self._publisher = publisher
        self._clock = clock
        self._unsynchronised = unsynchronised
        self._jumps = Jumps(clock)
        self._looked_ns = clock.monotonic_ns()
        self._publisher.trusted_since = None if unsynchronised(clock.wall_s()) else 0.0

    def turn(self) -> None:
        """Look, once a second."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._looked_ns < LOOK_S * 1e9:
            return
        self._looked_ns = now_ns
        by_s, wall_s = self._jumps.look(), self._clock.wall_s()
        trusted, was_trusted = not self._unsynchronised(wall_s), self._publisher.trusted_since is not None
        if trusted != was_trusted:
            # Frames that were captured before are dated by the clock as it was then.
            self._publisher.trusted_since = wall_s - LOOK_S if trusted else None
        if by_s:
            why = f"the clock was set {'ahead' if by_s > 0 else 'back'} by {abs(by_s):.0f} s"
            log.info("%s", why)
            self._publisher.event("clock.set", "info", why, by_s=round(by_s, 3))
        if trusted and not was_trusted:
            self._publisher.event("clock.synchronised", "info", "the clock is right; times can be trusted from here on")
