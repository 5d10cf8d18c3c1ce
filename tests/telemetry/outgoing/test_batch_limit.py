"""Batches become smaller where the connection is lost over them, and only there."""

from __future__ import annotations

from inferd.system.clock import CountingClock
from inferd.telemetry.outgoing.batch_limit import FORGET_S, LOSSES, MOST_HALVINGS, BatchLimit


def lose(caution: BatchLimit, times: int) -> int:
    for _ in range(times):
        caution.lost()
    return caution.halvings()


def test_one_loss_may_be_the_networks_doing() -> None:
    assert lose(BatchLimit(CountingClock()), LOSSES - 1) == 0


def test_from_the_second_loss_on_each_halves_a_batch() -> None:
    assert lose(BatchLimit(CountingClock()), LOSSES + 2) == 3


def test_losses_between_which_batches_arrive_halve_nothing() -> None:
    caution = BatchLimit(CountingClock())
    for _ in range(10):
        caution.lost()
        caution.delivered()
    assert caution.halvings() == 0


def test_what_was_halved_stays_so_while_it_works() -> None:
    caution = BatchLimit(CountingClock())
    lose(caution, LOSSES)
    caution.delivered()
    assert caution.halvings() == 1


def test_there_is_an_end_to_halving() -> None:
    assert lose(BatchLimit(CountingClock()), 100) == MOST_HALVINGS


def test_an_hour_after_the_last_loss_batches_are_whole_again() -> None:
    clock = CountingClock()
    caution = BatchLimit(clock)
    lose(caution, LOSSES)
    clock.advance(FORGET_S + 1)
    assert caution.halvings() == 0
