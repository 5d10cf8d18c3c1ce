"""The wall clock: when it was set, and whether it can be trusted."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferd.system.clock import EARLIEST_S, CountingClock, Jumps, SystemClock, is_unsynchronised

HOUR_S = 3600.0


@pytest.mark.parametrize("by_s", [HOUR_S, -HOUR_S, 50 * 365 * 24 * HOUR_S, 3.0])
def test_a_clock_that_was_set_is_noticed_once(by_s: float) -> None:
    clock = CountingClock()
    jumps = Jumps(clock)
    clock.advance(5.0)
    clock.set_wall(clock.wall_s() + by_s)
    assert (round(jumps.look()), jumps.look()) == (round(by_s), 0.0)


def test_time_that_passes_is_no_jump() -> None:
    clock = CountingClock()
    jumps = Jumps(clock)
    clock.advance(24 * HOUR_S)
    assert jumps.look() == 0.0


def test_many_small_steps_are_a_jump_in_the_end() -> None:
    clock = CountingClock()
    jumps, seen = Jumps(clock), []
    for _ in range(10):
        clock.set_wall(clock.wall_s() + 0.5)
        seen.append(jumps.look())
    assert sum(seen) == pytest.approx(4.0)


def test_the_clock_of_this_machine_does_not_jump_by_itself() -> None:
    assert Jumps(SystemClock()).look() == 0.0


def test_a_clock_before_inferd_was_written_is_not_trusted(tmp_path: Path) -> None:
    assert is_unsynchronised(60.0, tmp_path / "none")
    assert not is_unsynchronised(EARLIEST_S, tmp_path / "none")


def test_a_likely_time_that_timesyncd_has_not_confirmed_is_not_trusted(tmp_path: Path) -> None:
    assert is_unsynchronised(EARLIEST_S + HOUR_S, tmp_path)
    (tmp_path / "synchronized").touch()
    assert not is_unsynchronised(EARLIEST_S + HOUR_S, tmp_path)
