"""Which results leave, and what the settled answer is. Rules only: told the time, they hold no clock and no array."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass

from msgspec.structs import replace

from inferd.config import settings
from inferd.records import Box, Label, LabelSummary, LineCount, Result

EARLY_SHARE = 0.25  # of an interval: a frame may come so much early without losing its turn to jitter


@dataclass(frozen=True, slots=True)
class ReportDecision:
    """What becomes of one result: whether it leaves, and the settled answer where it changed with this result."""

    report: bool
    settled: LabelSummary | None


class Reporter:
    """Judges the results of one pipeline, in their order. Owned by its loop thread."""

    def __init__(self, rules: settings.ReportConfig) -> None:
        """Start without an answer.

        Args:
            rules: when results leave.
        """
        self._rules = rules
        self._needed = max(1, min(rules.hold, rules.window))
        self._recent: deque[LabelSummary | None] = deque(maxlen=max(1, rules.window))
        self._settled: LabelSummary | None = None
        self._lines: dict[str, LineCount] = {}
        self._owed = False
        self._next_ns = 0

    def judge(self, result: Result, now_ns: int, *, counts: bool = True) -> ReportDecision:
        """Return whether a result leaves at `now_ns`, and the settled answer if it has just changed.

        "every": all that reach `min_score` leave, no more than `max_per_s`. "change": a result leaves when the settled
        answer changes, or as soon after that as `max_per_s` allows. A result without labels and boxes always changes.
        "never": none leaves, and the answer is settled all the same.
        Zones settle with the labels; a crossed line changes the answer at once, for it cannot be taken back. A result that
        does not count (outside of its schedule) never leaves, and the answer is that nothing is there.
        """
        if not counts:
            return self._closed()
        answer = self._answer(result)
        changed = self._settle(answer) or self._crossed(result)
        if self._rules.when == "change":
            self._owed |= changed or answer is None
            wanted = self._owed
        else:
            wanted = self._rules.when == "every" and not best_score(result) < self._rules.min_score
        report = wanted and self._may_leave(now_ns)
        self._owed &= not report
        return ReportDecision(report, self._told() if changed else None)

    def agrees(self) -> bool | None:
        """Whether the last result says what is settled; None while nothing is."""
        return None if self._settled is None or not self._recent else self._recent[-1] == self._settled

    def _closed(self) -> ReportDecision:
        self._recent.clear()
        self._owed = False
        if self._settled is None or self._settled == LabelSummary({}):
            return ReportDecision(report=False, settled=None)
        self._settled = LabelSummary({})
        return ReportDecision(report=False, settled=self._told())

    def _told(self) -> LabelSummary | None:
        return None if self._settled is None else replace(self._settled, lines=self._lines)

    def _crossed(self, result: Result) -> bool:
        """Take what lines count; return whether that is other than it was."""
        before, self._lines = self._lines, result.lines or self._lines
        return before != self._lines and self._settled is not None

    def _answer(self, result: Result) -> LabelSummary | None:
        """Return what counts of a result; None where it has no labels and no boxes at all."""
        zones = {name: zone.count for name, zone in (result.zones or {}).items()}
        if result.boxes is not None:
            return LabelSummary(dict(Counter(box.label for box in self._sure(result.boxes))), zones)
        if result.labels is not None:
            return LabelSummary({label.label: 1 for label in self._sure(result.labels[:1])}, zones)
        return None

    def _sure(self, found: Iterable[Box] | Iterable[Label]) -> Iterable[Box | Label]:
        return (each for each in found if each.score >= self._rules.min_score)

    def _settle(self, answer: LabelSummary | None) -> bool:
        """Take an answer; return whether `hold` of the last `window` agree on it and it is another one than before."""
        self._recent.append(answer)
        if answer is None or answer == self._settled or self._recent.count(answer) < self._needed:
            return False
        self._settled = answer
        return True

    def _may_leave(self, now_ns: int) -> bool:
        """Take a turn if there is one: turns lie one interval apart, and none are saved up."""
        if self._rules.max_per_s <= 0:
            return True
        interval_ns = round(1e9 / self._rules.max_per_s)
        if now_ns < self._next_ns - interval_ns * EARLY_SHARE:
            return False
        self._next_ns = max(self._next_ns, now_ns) + interval_ns
        return True


def best_score(result: Result) -> float:
    """Return the highest score of a result: 0 where it found nothing, 1 where it has neither labels nor boxes."""
    found = result.boxes if result.boxes is not None else result.labels
    if found is None:
        return 1.0 if result.score is None else result.score
    return max((each.score for each in found), default=0.0)
