"""Which operators a delegate took is told from the tensors it reads and gives."""

from __future__ import annotations

from inferd.runtime.delegated_operators import PlanNode, count_delegated


def own(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> PlanNode:
    return PlanNode("OP", inputs, outputs)


def delegate(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> PlanNode:
    return PlanNode("DELEGATE", inputs, outputs)


CHAIN = (own((0,), (1,)), own((1,), (2,)), own((2,), (3,)))


def test_without_a_delegate_nothing_is_delegated() -> None:
    assert count_delegated(CHAIN) == 0


def test_a_delegate_from_end_to_end_takes_all() -> None:
    assert count_delegated([*CHAIN, delegate((0,), (3,))]) == 3


def test_a_delegate_takes_what_lies_between_its_tensors() -> None:
    assert count_delegated([*CHAIN, delegate((1,), (2,))]) == 1


def test_what_reads_a_delegates_output_is_not_its() -> None:
    assert count_delegated([*CHAIN, delegate((0,), (2,))]) == 2


def test_several_delegates_add_up() -> None:
    assert count_delegated([*CHAIN, delegate((0,), (1,)), delegate((2,), (3,))]) == 2


def test_two_ways_to_the_same_operator_count_it_once() -> None:
    diamond = (own((0,), (1,)), own((1,), (2,)), own((1,), (3,)), own((2, 3), (4,)))
    assert count_delegated([*diamond, delegate((0,), (4,))]) == 4


def test_an_operator_that_only_stores_belongs_to_the_delegate_whose_inner_tensor_it_reads() -> None:
    assert count_delegated([*CHAIN, own((9, 1), ()), delegate((0, 9), (3,))]) == 4


def test_an_operator_that_only_stores_belongs_to_the_delegate_that_asks_for_a_tensor_nobody_else_reads() -> None:
    assert count_delegated([*CHAIN, own((3, 8), (4,)), own((4,), ()), delegate((0, 8), (3,))]) == 5


def test_an_optional_tensor_that_is_absent_is_no_tensor() -> None:
    assert count_delegated([own((0, -1), (1,)), own((1, -1), (2,)), delegate((0,), (1,))]) == 1
