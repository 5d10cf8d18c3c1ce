"""Which samples a model finds hard. Rules only: told the time, they hold no clock and no array."""

from __future__ import annotations

from inferd.config import settings
from inferd.records import Result
from inferd.tasks.rules.drift import Shift

SECOND = 2  # labels, for one to be nearly as good as the other


class HardSamples:
    """Picks samples of one pipeline. Owned by its loop thread."""

    def __init__(self, rules: settings.Samples) -> None:
        """Begin without any; with `keep_mb` 0 none is ever picked."""
        self._rules = rules
        self._next_ns = 0
        self._shift = Shift()

    def pick(self, result: Result, *, agrees: bool | None, now_ns: int) -> str:
        """Return why a sample is worth keeping; "" where it is not, or too soon after the last.

        Args:
            result: what the model says.
            agrees: whether that is the settled answer; None while nothing is settled.
            now_ns: the monotonic clock.
        """
        if self._rules.keep_mb <= 0:
            return ""
        self._shift.add(result)
        if now_ns < self._next_ns:
            return ""
        why = self._low_margin(result) or ("disagreement" if agrees is False else "") or self._drift()
        if why:
            self._next_ns = now_ns + round(self._rules.every_s * 1e9)
        return why

    def _drift(self) -> str:
        """Return "drift" where the answers of late are others than those before."""
        limit = self._rules.drift
        return "drift" if limit > 0 and self._shift.distance() > limit else ""

    def _low_margin(self, result: Result) -> str:
        """Return "low margin" where two labels are nearly equal, or an object is about as likely as not."""
        labels, margin = result.labels or (), self._rules.margin
        close = len(labels) >= SECOND and labels[0].score - labels[1].score < margin
        unsure = any(abs(box.score - self._rules.unsure) < margin for box in result.boxes or ())
        return "low margin" if close or unsure else ""
