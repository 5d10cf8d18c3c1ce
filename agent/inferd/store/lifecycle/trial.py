"""When a model on trial has proved itself, and when it has not. Pure: counts in, verdict out.

Only what is certain sends a model back: outputs that are no numbers, failing inferences, its own budget broken. What may
be the world's doing (nothing to see, a covered camera, no frames, a slow device) is settled by what the model before makes
of the same frames.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from inferd.histogram import HistogramData, merge, quantile
from inferd.ipc import ShadowReplayDone, TurnTimes

ENOUGH = 20  # frames, before a share of them or a percentile means anything
LONGEST = 10  # times trial_s: a camera that gives nothing keeps no model on trial for ever
NONFINITE = "nonfinite_output"
USUAL = 200  # turns that tell what is usual
SLOW, COLLAPSED = "slow", "collapsed"
JITTER = 0.5  # of a budget: what a model computes takes about as long each time, what disturbs it does not
AS_SLOW = 1.5  # times as long is no slower, by so few turns
ENGINE_FAULTS = ("engine_error", "decode_error", NONFINITE)


@dataclass(frozen=True, slots=True)
class TrialTerms:
    """What a trial demands.

    Attributes:
        seconds: how long it lasts.
        results: it ends earlier with so many.
        errors: share of frames (0..1) that may fail.
        p95_ms: what a whole turn may take; None where the model's budget does not say.
    """

    seconds: float
    results: int
    errors: float
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class TrialPassed:
    """The model has proved itself.

    Attributes:
        why: "" or what could not be judged.
        doubt: "" or what a person should look at, though it is not certain enough to go back.
    """

    why: str = ""
    doubt: str = ""


@dataclass(frozen=True, slots=True)
class TrialFailed:
    """The model did harm: in a word, and in a sentence."""

    code: str
    why: str


@dataclass(slots=True)
class TrialCounts:
    """What was counted since the model on trial serves. Owned by control's main thread.

    Attributes:
        terms: what is demanded.
        began_ns: when it began.
        results, faults, latency: what was counted.
        asked_ns: when the worker was asked to show both models the same frames; 0 where no answer is awaited.
        excused: why its budget is not held against it; "" where it is.
    """

    terms: TrialTerms
    began_ns: int
    results: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    latency: HistogramData = field(default_factory=HistogramData)
    asked_ns: int = 0
    excused: str = ""

    def add(self, inferred: int, dropped: Mapping[str, int], latency: HistogramData) -> None:
        """Add what one pipeline counted in a second."""
        self.results += inferred
        self.faults.update({cause: count for cause, count in dropped.items() if cause in ENGINE_FAULTS})
        self.latency = merge(self.latency, latency)

    def verdict(self, now_ns: int) -> TrialPassed | TrialFailed | None:
        """Return how the trial ended; None while it goes on."""
        frames, faults = self.results + self.faults.total(), self.faults.total()
        if self.faults[NONFINITE]:
            return TrialFailed(
                "nonfinite_output", f"{self.faults[NONFINITE]} of its {frames} outputs held NaN or infinity"
            )
        if faults >= ENOUGH * self.terms.errors and frames >= ENOUGH and faults > self.terms.errors * frames:
            worst = self.faults.most_common(1)[0][0]
            return TrialFailed("errors", f"{faults} of {frames} frames failed in its trial ({worst})")
        elapsed_s = (now_ns - self.began_ns) / 1e9
        done = self.results >= self.terms.results or (elapsed_s >= self.terms.seconds and self.results > 0)
        if slow := self._slow(done=done):
            return slow
        if done:
            return TrialPassed(self.excused)
        if elapsed_s >= LONGEST * self.terms.seconds:
            return TrialPassed(f"there was not one frame in {elapsed_s:.0f} s to judge it by")
        return None

    def settle(self, now_ns: int, told: ShadowReplayDone, usual: TurnTimes | None) -> TrialPassed | TrialFailed | None:
        """Return how the trial ended, now that both models were shown the same frames; None where it goes on.

        Args:
            now_ns: the monotonic clock.
            told: what came of it.
            usual: how long the model before took while it served; None where that is not known.
        """
        self.asked_ns = 0
        ended = self.verdict(now_ns)
        if isinstance(ended, TrialFailed) and ended.code == SLOW and self.terms.p95_ms is not None:
            self.excused = excuse(told, usual, self.terms.p95_ms)
            return None if self.excused else ended
        if not isinstance(ended, TrialPassed):
            return ended
        if told.found == COLLAPSED:
            return TrialFailed(COLLAPSED, told.why)
        return TrialPassed(ended.why, told.why)

    def _slow(self, *, done: bool) -> TrialFailed | None:
        p95_ms = quantile(self.latency, 0.95)
        if self.excused or self.terms.p95_ms is None or p95_ms is None or p95_ms <= self.terms.p95_ms:
            return None
        if not done and self.latency.count < ENOUGH:
            return None
        median_ms = quantile(self.latency, 0.5)
        if median_ms is None or median_ms <= JITTER * self.terms.p95_ms:
            return None
        return TrialFailed(SLOW, f"its p95 was {p95_ms:.1f} ms in its trial, its budget is {self.terms.p95_ms:g} ms")


@dataclass(slots=True)
class UsualTurnTime:
    """How long a turn takes while nothing is on trial. Owned by control's main thread."""

    known: HistogramData = field(default_factory=HistogramData)
    growing: HistogramData = field(default_factory=HistogramData)

    def add(self, latency: HistogramData) -> None:
        """Add what a pipeline counted."""
        self.growing = merge(self.growing, latency)
        if self.growing.count >= USUAL:
            self.known, self.growing = self.growing, HistogramData()

    @property
    def took(self) -> TurnTimes | None:
        """How long the last few hundred turns took; None before the first."""
        known = self.known if self.known.count else self.growing
        median_ms, p95_ms = quantile(known, 0.5), quantile(known, 0.95)
        return None if median_ms is None or p95_ms is None else TurnTimes(median_ms, p95_ms)


def excuse(told: ShadowReplayDone, usual: TurnTimes | None, budget_ms: float) -> str:
    """Return why a broken budget is the device's doing: the model before is slow now, too; "" where it is the model's.

    Args:
        told: how long both models take now.
        usual: how long the model before took while it served; None where that is not known.
        budget_ms: p95 of a whole turn.
    """
    now, before = told.now, told.before
    if now is None or before is None:
        return ""
    usual = usual or before
    if now.p95_ms > _allowed_ms(budget_ms, before.p95_ms, usual.p95_ms):
        return ""
    if now.median_ms > _allowed_ms(budget_ms, before.median_ms, usual.median_ms):
        return ""
    why = f"the p95 of the model before is {before.p95_ms:.1f} ms now and was {usual.p95_ms:.1f}"
    return f"its budget of {budget_ms:g} ms is not held against it: {why}"


def _allowed_ms(budget_ms: float, before_ms: float, usual_ms: float) -> float:
    """Return what a budget allows on a device on which the model before takes longer than usual, or breaks it as well."""
    slower = max(1.0, before_ms / usual_ms)
    return max(budget_ms * slower, AS_SLOW * before_ms if before_ms > budget_ms else 0.0)
