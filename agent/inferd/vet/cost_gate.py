"""The gate of cost: does a model fit this device? Pure: what was measured in, the gate out."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from inferd.wire.manifest import BudgetSection
from inferd.wire.vetting import GateResult, failed, not_judged, passed

NO_RIVAL = "there is no model to compare it with; its budget is judged in the trial"
NO_COEFFICIENT = "its energy is not known: set metrics.core_w and metrics.idle_w, what a busy core of this board draws"
BY_CPU_VERSION = (
    "only its CPU version was measured, as the worker uses the accelerator; its budget is judged in the trial"
)


@dataclass(frozen=True, slots=True)
class TimingPair:
    """What invokes of two models took, in turns.

    Attributes:
        mine_ms: of the model under examination.
        theirs_ms: of the one that serves; empty where there is none.
        cpu_ms: processor time that one of mine took, on all cores together.
    """

    mine_ms: Sequence[float]
    theirs_ms: Sequence[float]
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class CostLimits:
    """What a model may cost.

    Attributes:
        budget: as its manifest or a person says.
        slower_max: so many times as long as the one that serves; 0 is without limit.
        core_w: what a busy core of this board draws; 0 if that is not known.
        by_cpu_version: whether its CPU version ran, in place of a model for an accelerator.
    """

    budget: BudgetSection
    slower_max: float
    core_w: float = 0.0
    by_cpu_version: bool = False


def judge_cost(private_mb: float, race: TimingPair, rules: CostLimits) -> GateResult:
    """Return the gate of cost, for a model that took so much memory."""
    mine, theirs, budget = race.mine_ms, race.theirs_ms, rules.budget
    figures = {
        "private_mb": round(private_mb, 1),
        "invoke_ms": round(statistics.median(mine), 3),
        "invoke_min_ms": round(min(mine), 3),
    }
    if rules.by_cpu_version:
        return not_judged("cost", BY_CPU_VERSION, **figures)
    if budget.latency_p95_ms is not None and min(mine) > budget.latency_p95_ms:
        why = f"its fastest invoke took {min(mine):.1f} ms, its budget is {budget.latency_p95_ms:g} ms"
        return failed("cost", "over_budget", why, **figures)
    if rules.core_w:
        figures["energy_mj"] = round(rules.core_w * race.cpu_ms, 3)
        if budget.energy_mj is not None and figures["energy_mj"] > budget.energy_mj:
            why = f"an inference takes {figures['energy_mj']:.1f} mJ by estimate, its budget is {budget.energy_mj:g} mJ"
            return failed("cost", "energy_over_budget", why, **figures)
    unknown = [NO_COEFFICIENT] if budget.energy_mj is not None and not rules.core_w else []
    if not theirs:
        return not_judged("cost", "; ".join([NO_RIVAL, *unknown]), **figures)
    ratio = slowdown(mine, theirs)
    figures |= {"against_ms": round(statistics.median(theirs), 3), "ratio": round(ratio, 3)}
    if rules.slower_max and ratio > rules.slower_max and budget.latency_p95_ms is None:
        why = f"it takes {ratio:.1f} times as long as the model it replaces; {rules.slower_max:g} are allowed"
        return failed("cost", "slower", f"{why}, or say a latency_p95_ms under [budget]", **figures)
    return not_judged("cost", unknown[0], **figures) if unknown else passed("cost", **figures)


def slowdown(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Return how many times as long one model takes as another.

    By the median or by the fastest invoke, whichever says less: a slow model is slow each time, a busy machine is not.
    Under load, a model of 0.02 ms whose CPU version it was took 4.9 times as long by the median (x86, November 2026).
    """
    return min(statistics.median(mine) / statistics.median(theirs), min(mine) / min(theirs))
