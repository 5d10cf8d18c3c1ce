"""How much smaller batches become where the connection is lost over them, time and again. Pure but for the clock."""

from __future__ import annotations

from inferd.system.clock import Clock

LOSSES = 2  # in a row, with no batch delivered in between: one alone may be the network's doing
MOST_HALVINGS = 15  # 20 kB is nothing after so many: each message goes alone
FORGET_S = 3600.0


class BatchLimit:
    """A broker may end the connection over a packet that it finds too large, and not say so. For one thread."""

    def __init__(self, clock: Clock) -> None:
        """Begin without any."""
        self._clock = clock
        self._losses = 0
        self._halvings = 0
        self._lost_ns = 0

    def lost(self) -> None:
        """Take that the connection was lost with batches on their way."""
        self._lost_ns = self._clock.monotonic_ns()
        self._losses += 1
        if self._losses >= LOSSES:
            self._halvings = min(self._halvings + 1, MOST_HALVINGS)

    def delivered(self) -> None:
        """Take that a batch has arrived."""
        self._losses = 0

    def halvings(self) -> int:
        """Return how often a batch is to be halved; 0 again an hour after the last loss."""
        if self._halvings and self._clock.monotonic_ns() - self._lost_ns > FORGET_S * 1e9:
            self._halvings = 0
        return self._halvings
