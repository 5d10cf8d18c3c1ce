from __future__ import annotations

import pytest

from inferd.vet.cost_gate import BY_CPU_VERSION, NO_COEFFICIENT, CostLimits, TimingPair, judge_cost, slowdown
from inferd.wire.manifest import BudgetSection


def test_a_neighbour_that_slows_most_invokes_makes_no_model_slow() -> None:
    assert slowdown([9.0] * 10 + [1.0] * 5, [1.0] * 15) == 1.0


def test_a_model_is_as_slow_as_all_its_invokes_are() -> None:
    assert slowdown([5.0] * 15, [1.0] * 15) == 5.0


def test_one_invoke_that_was_held_up_makes_no_model_fast() -> None:
    assert slowdown([5.0] * 15, [1.0] * 14 + [100.0]) == 5.0


ALIKE = TimingPair([2.0] * 15, [2.0] * 15, cpu_ms=2.0)
THRIFTY = BudgetSection(energy_mj=2.0)


def found(race: TimingPair, rules: CostLimits) -> tuple[str, str]:
    gate = judge_cost(5.0, race, rules)
    return gate.finding, gate.code


def test_energy_is_processor_time_by_what_a_busy_core_draws() -> None:
    assert judge_cost(5.0, ALIKE, CostLimits(THRIFTY, 4.0, core_w=0.9)).figures["energy_mj"] == pytest.approx(1.8)


@pytest.mark.parametrize(("core_w", "told"), [(0.9, ("pass", "")), (1.1, ("fail", "energy_over_budget"))])
def test_an_inference_that_takes_more_energy_than_its_budget_is_refused(core_w: float, told: tuple[str, str]) -> None:
    assert found(ALIKE, CostLimits(THRIFTY, 4.0, core_w)) == told


def test_without_a_coefficient_energy_is_not_judged_and_why_is_told() -> None:
    gate = judge_cost(5.0, ALIKE, CostLimits(THRIFTY, 4.0))
    assert (gate.finding, gate.why) == ("not judged", NO_COEFFICIENT)
    assert NO_COEFFICIENT in judge_cost(5.0, TimingPair([2.0], [], 2.0), CostLimits(THRIFTY, 4.0)).why
    assert found(ALIKE, CostLimits(BudgetSection(), 4.0)) == ("pass", "")


def test_what_an_accelerator_is_to_run_is_not_judged_by_how_slow_its_cpu_version_is() -> None:
    slow = TimingPair([200.0] * 15, [2.0] * 15, cpu_ms=200.0)
    budget = BudgetSection(latency_p95_ms=10.0, energy_mj=1.0)
    gate = judge_cost(5.0, slow, CostLimits(budget, 4.0, core_w=1.0, by_cpu_version=True))
    assert (gate.finding, gate.why) == ("not judged", BY_CPU_VERSION)
    assert found(slow, CostLimits(budget, 4.0, core_w=1.0)) == ("fail", "over_budget")


def test_another_variant_may_take_as_long_as_it_likes() -> None:
    slow = TimingPair([200.0] * 15, [2.0] * 15, cpu_ms=200.0)
    assert found(slow, CostLimits(BudgetSection(), 4.0)) == ("fail", "slower")
    assert found(slow, CostLimits(BudgetSection(), 0.0)) == ("pass", "")
