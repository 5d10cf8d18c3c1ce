"""How long to wait before the broker is tried again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses that double, each spread by half around its length, so that a fleet does not return all at once.

    Attributes:
        first_s: after the first failure.
        longest_s: the longest.
    """

    first_s: float = 1.0
    longest_s: float = 60.0

    def pause_s(self, failures: int) -> float:
        """Return the pause after so many failures in a row, in seconds."""
        return self._spread(min(self.longest_s, self.first_s * 2.0 ** min(failures - 1, 30)))

    def slow_s(self) -> float:
        """Return the pause after a refusal that waiting does not mend, in seconds."""
        return self._spread(self.longest_s)

    def _spread(self, pause_s: float) -> float:
        return pause_s * random.uniform(0.5, 1.5)  # noqa: S311 - spreads reconnects, keeps no secret
