"""When an accelerator that failed is tried again, and what is tried before."""

from __future__ import annotations

from inferd.accelerators.edgetpu import EDGETPU
from inferd.control.accelerators.fallback_rules import HEALTHY_S, LONGEST_PAUSE_S, AcceleratorStatus, fell, rose

S = 1_000_000_000


def after(failures: int) -> AcceleratorStatus:
    standing = AcceleratorStatus()
    for _ in range(failures):
        standing = fell(standing, "it is gone", 0)
    return standing


def test_it_is_tried_again_after_a_second_then_after_twice_as_long() -> None:
    assert [after(number).retry_ns // S for number in (1, 2, 3, 4)] == [1, 2, 4, 8]


def test_the_pause_has_an_upper_bound() -> None:
    assert after(60).retry_ns == LONGEST_PAUSE_S * S


def test_the_ladder_is_climbed_once() -> None:
    steps = [after(number).step(EDGETPU.recovery).name for number in range(1, 8)]
    assert steps == ["reopen", "reopen", "usb_reset", "port_power", "alert", "reopen", "reopen"]


def test_it_is_due_only_when_its_pause_is_over() -> None:
    assert not after(1).due(S - 1)
    assert after(1).due(S)


def test_one_that_serves_is_never_due() -> None:
    assert not rose(after(1), 0).due(100 * S)


def test_one_that_fails_soon_after_it_came_back_waits_longer() -> None:
    back = rose(after(3), S)
    assert fell(back, "again", 2 * S).attempts == 4


def test_one_that_served_for_long_starts_from_the_shortest_pause() -> None:
    back = rose(after(5), S)
    assert fell(back, "again", int((HEALTHY_S + 2) * S)).attempts == 1
