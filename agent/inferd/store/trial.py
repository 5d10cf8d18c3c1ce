"""When a model on trial has proved itself, and when it has not. Pure: counts in, verdict out.

Only what is certain sends a model back: outputs that are no numbers, failing inferences, its own budget broken. What may
be the world's doing (nothing to see, a covered camera, no frames) does not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from inferd.histogram import HistogramData, merge, quantile

ENOUGH = 20  # frames, before a share of them or a percentile means anything
LONGEST = 10  # times trial_s: a camera that gives nothing keeps no model on trial for ever
NONFINITE = "nonfinite_output"
ENGINE_FAULTS = ("engine_error", "decode_error", NONFINITE)


@dataclass(frozen=True, slots=True)
class Terms:
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
class Passed:
    """The model has proved itself; `why` is "" or says what could not be judged."""

    why: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """The model did harm: in a word, and in a sentence."""

    code: str
    why: str


@dataclass(slots=True)
class Watched:
    """What was counted since the model on trial serves. Owned by control's main thread."""

    terms: Terms
    began_ns: int
    results: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    latency: HistogramData = field(default_factory=HistogramData)

    def add(self, inferred: int, dropped: Mapping[str, int], latency: HistogramData) -> None:
        """Add what one pipeline counted in a second."""
        self.results += inferred
        self.faults.update({cause: count for cause, count in dropped.items() if cause in ENGINE_FAULTS})
        self.latency = merge(self.latency, latency)

    def verdict(self, now_ns: int) -> Passed | Failed | None:
        """Return how the trial ended; None while it goes on."""
        frames, faults = self.results + self.faults.total(), self.faults.total()
        if self.faults[NONFINITE]:
            return Failed("nonfinite_output", f"{self.faults[NONFINITE]} of its {frames} outputs held NaN or infinity")
        if faults >= ENOUGH * self.terms.errors and frames >= ENOUGH and faults > self.terms.errors * frames:
            worst = self.faults.most_common(1)[0][0]
            return Failed("errors", f"{faults} of {frames} frames failed in its trial ({worst})")
        elapsed_s = (now_ns - self.began_ns) / 1e9
        done = self.results >= self.terms.results or (elapsed_s >= self.terms.seconds and self.results > 0)
        if slow := self._slow(done=done):
            return slow
        if done:
            return Passed()
        if elapsed_s >= LONGEST * self.terms.seconds:
            return Passed(f"there was not one frame in {elapsed_s:.0f} s to judge it by")
        return None

    def _slow(self, *, done: bool) -> Failed | None:
        p95_ms = quantile(self.latency, 0.95)
        if self.terms.p95_ms is None or p95_ms is None or p95_ms <= self.terms.p95_ms:
            return None
        if not done and self.latency.count < ENOUGH:
            return None
        return Failed("slow", f"its p95 was {p95_ms:.1f} ms in its trial, its budget is {self.terms.p95_ms:g} ms")
