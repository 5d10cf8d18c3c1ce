from __future__ import annotations

import os
import signal
from contextlib import suppress

import pytest

from inferd.control.processes.supervisor import RestartBackoff, StallClock, Supervisor
from inferd.control.processes.vet_job import ENVIRONMENT, PRELOAD
from inferd.errors import WorkerError
from inferd.system.clock import SystemClock
from inferd.system.processes.fork_server import ForkServer
from inferd.system.processes.heartbeats import Busy, Reading
from inferd.system.threads import join_all, start

SECOND = 1_000_000_000


def reading(turned_ns: int) -> dict[int, Reading]:
    return {1: Reading(turned_ns, Busy.ENGINE)}


def look_every_quarter(patience: StallClock, turned_ns: int, start_ns: int, seconds: float) -> int:
    """Look four times a second at a slot that shows the same turn; return how long it has not turned."""
    still = 0
    for step in range(int(seconds * 4) + 1):
        still = patience.look(reading(turned_ns), start_ns + step * SECOND // 4)[1]
    return still


def test_a_slot_that_shows_the_same_turn_has_not_turned_since_it_was_first_seen() -> None:
    assert look_every_quarter(StallClock(), 5, SECOND, 3.0) == 3 * SECOND


def test_a_turn_starts_the_time_anew() -> None:
    patience = StallClock()
    look_every_quarter(patience, 5, SECOND, 3.0)
    assert look_every_quarter(patience, 6, 5 * SECOND, 1.0) == 1 * SECOND


def test_time_in_which_control_itself_did_not_run_is_held_against_nobody() -> None:
    patience = StallClock()
    patience.look(reading(5), SECOND)
    assert patience.look(reading(5), 3600 * SECOND)[1] == SECOND


def test_the_first_restart_is_at_once_and_each_further_one_waits_longer() -> None:
    pauses = RestartBackoff(longest_s=60)
    waited = [pauses.after(lived_ns=SECOND) for _ in range(4)]
    assert waited[0] == 0
    assert waited[1] == pytest.approx(0.5, rel=0.3)
    assert waited[3] == pytest.approx(2.0, rel=0.3)


def test_no_pause_is_longer_than_it_may_be() -> None:
    pauses = RestartBackoff(longest_s=3)
    assert max(pauses.after(SECOND) for _ in range(20)) <= 3 * 1.25


def test_a_worker_that_lived_long_starts_again_at_once() -> None:
    pauses = RestartBackoff(longest_s=60)
    for _ in range(5):
        pauses.after(SECOND)
    assert pauses.after(120 * SECOND) == 0


@pytest.mark.slow
def test_a_worker_that_reads_nothing_never_holds_control_up() -> None:
    supervisor = Supervisor(SystemClock())
    with ForkServer(PRELOAD, ENVIRONMENT) as fork_server:
        pid = supervisor.start(fork_server)
        os.kill(pid, signal.SIGSTOP)

        def send_much() -> None:
            with suppress(WorkerError):  # the worker is killed in the end
                for _ in range(5000):
                    supervisor.plan(())

        sending = start("sending", send_much)
        left = join_all([sending], 10.0)
        os.kill(pid, signal.SIGKILL)
        assert left == []
