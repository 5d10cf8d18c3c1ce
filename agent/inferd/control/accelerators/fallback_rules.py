"""When to fall back from an accelerator to the CPU, when to try it again, and with which recovery step. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from inferd.accelerators.accelerator import RecoveryStep

FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 300.0
HEALTHY_S = 600.0  # an accelerator that served so long is tried again at once when it fails
REOPEN = RecoveryStep("reopen")


@dataclass(frozen=True, slots=True)
class AcceleratorStatus:
    """Whether the accelerator serves, and if not, why, and how often it was tried since.

    Attributes:
        why: why it does not serve; "" where it does, or was never tried.
        attempts: failed ones since it last served for long.
        retry_ns: when it is tried again, on the monotonic clock.
        up_ns: since when it serves; 0 where it does not.
    """

    why: str = ""
    attempts: int = 0
    retry_ns: int = 0
    up_ns: int = 0

    @property
    def down(self) -> bool:
        """Whether it does not serve although it should."""
        return bool(self.why)

    def due(self, now_ns: int) -> bool:
        """Whether it is time to try again."""
        return self.down and now_ns >= self.retry_ns

    def step(self, ladder: Sequence[RecoveryStep]) -> RecoveryStep:
        """Return what to do before the next attempt; after the last step of the ladder, attempts are plain again."""
        index = self.attempts - 1
        return ladder[index] if 0 <= index < len(ladder) else REOPEN


def fell(before: AcceleratorStatus, why: str, now_ns: int) -> AcceleratorStatus:
    """Return how it stands after a failure: the pause doubles unless the accelerator had served for long."""
    healthy = before.up_ns > 0 and now_ns - before.up_ns > HEALTHY_S * 1e9
    attempts = 1 if healthy else before.attempts + 1
    pause_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (attempts - 1))
    return AcceleratorStatus(why, attempts, now_ns + int(pause_s * 1e9))


def rose(before: AcceleratorStatus, now_ns: int) -> AcceleratorStatus:
    """Return how it stands when the accelerator serves again; attempts count on until it has served for long."""
    return AcceleratorStatus("", before.attempts, 0, now_ns)
