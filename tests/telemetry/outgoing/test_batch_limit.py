"""Batches become smaller where the connection is lost over them, and only there."""

from __future__ import annotations

from inferd.system.clock import CountingClock
from inferd.telemetry.outgoing.batches import FORGET_S, LOSSES, MOST_HALVINGS, BatchLimit


def lose(limit: BatchLimit, times: int) -> int:
    for _ in range(times):
        limit.lost()
    return limit.halvings()


def test_one_loss_may_be_the_networks_doing() -> None:
    assert lose(BatchLimit(CountingClock()), LOSSES - 1) == 0


def test_from_the_second_loss_on_each_halves_a_batch() -> None:
    assert lose(BatchLimit(CountingClock()), LOSSES + 2) == 3


def test_losses_between_which_batches_arrive_halve_nothing() -> None:
    limit = BatchLimit(CountingClock())
    for _ in range(10):
        limit.lost()
        limit.delivered()
    assert limit.halvings() == 0


def test_what_was_halved_stays_so_while_it_works() -> None:
    limit = BatchLimit(CountingClock())
    lose(limit, LOSSES)
    limit.delivered()
    assert limit.halvings() == 1


def test_there_is_an_end_to_halving() -> None:
    assert lose(BatchLimit(CountingClock()), 100) == MOST_HALVINGS


def test_an_hour_after_the_last_loss_batches_are_whole_again() -> None:
    clock = CountingClock()
    limit = BatchLimit(clock)
    lose(limit, LOSSES)
    clock.advance(FORGET_S + 1)
    assert limit.halvings() == 0


def test_what_was_halved_stays_so_for_an_hour() -> None:
    clock = CountingClock()
    limit = BatchLimit(clock)
    lose(limit, LOSSES)
    clock.advance(FORGET_S - 1)
    assert limit.halvings() == 1
