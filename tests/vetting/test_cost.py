from __future__ import annotations

from inferd.vet.gates import slowdown


def test_a_neighbour_that_slows_most_invokes_makes_no_model_slow() -> None:
    assert slowdown([9.0] * 10 + [1.0] * 5, [1.0] * 15) == 1.0


def test_a_model_is_as_slow_as_all_its_invokes_are() -> None:
    assert slowdown([5.0] * 15, [1.0] * 15) == 5.0


def test_one_invoke_that_was_held_up_makes_no_model_fast() -> None:
    assert slowdown([5.0] * 15, [1.0] * 14 + [100.0]) == 5.0
