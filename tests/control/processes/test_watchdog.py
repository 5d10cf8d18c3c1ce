"""When systemd is told that inferd has started and lives."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferd.control.processes.watchdog import Watchdog
from inferd.histogram import HistogramData
from inferd.ipc import Counts, PipelineCounts
from inferd.records import STAGES
from inferd.system.clock import CountingClock
from inferd.system.sd_notify import Notifier

DEADLINE_S = 10.0
TRIAL_S = 200.0


class Systemd:
    """Listens on a notify socket and runs a watchdog's turns."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.clock = CountingClock()
        self.watchdog = Watchdog(Notifier(sock.getsockname()), self.clock)

    def heard(self) -> list[str]:
        """Return all lines that came since the last call."""
        lines: list[str] = []
        while True:
            try:
                lines += self._sock.recv(4096).decode().splitlines()
            except BlockingIOError:
                return lines

    def turn(self, after_s: float = 0.0) -> list[str]:
        """Let time pass, take a turn and return what was told."""
        self.clock.advance(after_s)
        self.watchdog.turn({"cam": DEADLINE_S, "mic": DEADLINE_S}, TRIAL_S)
        return self.heard()

    def count(self, frames_in: int, inferred: int, dropped: str = "") -> None:
        """Be the worker that counts for "cam"."""
        latency = {stage: HistogramData() for stage in STAGES}
        counted = PipelineCounts(frames_in, inferred, {dropped: 1} if dropped else {}, 0, 0, 0, latency)
        self.watchdog.counted(Counts(covered_s=1.0, pipelines={"cam": counted}, messages_lost=0))

    def serve(self) -> None:
        """Bring "cam" to its first inference."""
        self.watchdog.said("cam", "waiting", "its model is being tried", "trial")
        self.watchdog.taken("cam", "digits v1")
        self.watchdog.said("cam", "running", "", "worker")


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.setblocking(False)
        yield Systemd(sock)


def test_it_is_not_ready_while_a_model_is_tried(systemd: Systemd) -> None:
    systemd.watchdog.said("cam", "waiting", "its model is being tried", "trial")
    assert "READY=1" not in systemd.turn()


def test_it_is_ready_after_the_first_inference(systemd: Systemd) -> None:
    systemd.serve()
    assert "READY=1" in systemd.turn()


def test_it_is_ready_once(systemd: Systemd) -> None:
    systemd.serve()
    systemd.turn()
    assert "READY=1" not in systemd.turn(1)


def test_it_waits_for_every_pipeline(systemd: Systemd) -> None:
    systemd.serve()
    systemd.watchdog.said("mic", "waiting", "its model is being tried", "trial")
    assert "READY=1" not in systemd.turn()


def test_a_refused_model_is_a_reason_to_be_ready(systemd: Systemd) -> None:
    systemd.watchdog.said("cam", "failed", "its model was refused: no TFLite file", "control")
    assert "STATUS=cam: failed, its model was refused: no TFLite file" in systemd.turn()


def test_a_worker_that_died_is_a_reason_to_be_ready(systemd: Systemd) -> None:
    systemd.watchdog.said("cam", "waiting", "the worker ended: was killed by SIGSEGV", "control")
    assert "READY=1" in systemd.turn()


def test_a_source_without_a_frame_is_a_reason_after_a_while(systemd: Systemd) -> None:
    systemd.watchdog.said("cam", "waiting", "its model is being tried", "trial")
    systemd.watchdog.taken("cam", "digits v1")
    assert "READY=1" not in systemd.turn(1)
    assert "READY=1" in systemd.turn(5)


def test_the_watchdog_is_fed_at_most_once_a_second(systemd: Systemd) -> None:
    systemd.serve()
    assert [systemd.turn(0.25).count("WATCHDOG=1") for _ in range(8)] == [1, 0, 0, 0, 1, 0, 0, 0]


def test_the_watchdog_starves_when_the_worker_is_not_heard(systemd: Systemd) -> None:
    systemd.serve()
    systemd.turn()
    assert "WATCHDOG=1" not in systemd.turn(30)
    assert systemd.watchdog.held_back == "cam: the worker has not spoken of it for 30 s"


def test_the_watchdog_starves_when_frames_come_and_none_is_inferred(systemd: Systemd) -> None:
    systemd.serve()
    for _ in range(20):
        systemd.count(frames_in=10, inferred=0)
        told = systemd.turn(1)
    assert "WATCHDOG=1" not in told


def test_frames_that_come_seldom_and_are_never_inferred_starve_it_too(systemd: Systemd) -> None:
    systemd.serve()
    for second in range(30):
        systemd.count(frames_in=int(second % 3 == 0), inferred=0, dropped="superseded" if second else "")
        told = systemd.turn(1)
    assert "WATCHDOG=1" not in told


def test_frames_that_are_left_out_for_a_reason_are_fed_for(systemd: Systemd) -> None:
    systemd.serve()
    for _ in range(60):
        systemd.count(frames_in=1, inferred=0, dropped="poor_quality")
        told = systemd.turn(1)
    assert "WATCHDOG=1" in told


def test_a_slow_but_living_model_is_fed_for(systemd: Systemd) -> None:
    systemd.serve()
    fed = []
    for second in range(60):
        systemd.count(frames_in=10, inferred=int(second % 9 == 0))
        fed.append("WATCHDOG=1" in systemd.turn(1))
    assert all(fed)


def test_a_source_that_is_rare_is_fed_for(systemd: Systemd) -> None:
    systemd.serve()
    for _ in range(600):
        systemd.count(frames_in=0, inferred=0)
        told = systemd.turn(1)
    assert "WATCHDOG=1" in told


def test_a_source_that_is_gone_is_a_named_state(systemd: Systemd) -> None:
    systemd.serve()
    systemd.watchdog.said("cam", "waiting", "video: No such file", "worker")
    for _ in range(600):
        systemd.count(frames_in=0, inferred=0)
        told = systemd.turn(1)
    assert "WATCHDOG=1" in told


def test_a_trial_that_never_ends_starves_the_watchdog(systemd: Systemd) -> None:
    systemd.watchdog.said("cam", "waiting", "its model is being tried", "trial")
    assert "WATCHDOG=1" in systemd.turn(TRIAL_S)
    assert "WATCHDOG=1" not in systemd.turn(60)


def test_a_refused_model_stays_a_named_state_for_ever(systemd: Systemd) -> None:
    systemd.watchdog.said("cam", "failed", "its model was refused", "control")
    assert "WATCHDOG=1" in systemd.turn(1_000_000)


def test_a_pipeline_that_waits_for_a_person_is_fed_for(systemd: Systemd) -> None:
    systemd.watchdog.said("cam", "waiting", "there is no model for it yet", "person")
    assert "READY=1" in systemd.turn()
    assert "WATCHDOG=1" in systemd.turn(1_000_000)


def test_a_pipeline_that_is_gone_owes_nothing(systemd: Systemd) -> None:
    systemd.serve()
    systemd.watchdog.forget("cam")
    assert "WATCHDOG=1" in systemd.turn(1000)


def test_the_status_says_model_rate_and_state(systemd: Systemd) -> None:
    systemd.serve()
    systemd.turn()
    systemd.count(frames_in=50, inferred=50)
    assert "STATUS=cam: running, digits v1, 10.0 fps" in systemd.turn(5)


def test_many_pipelines_are_counted(systemd: Systemd) -> None:
    for number in range(6):
        systemd.watchdog.said(f"cam{number}", "failed", "refused", "control")
    systemd.watchdog.turn({f"cam{number}": DEADLINE_S for number in range(6)}, TRIAL_S)
    assert "STATUS=6 failed" in systemd.heard()


def test_a_reload_is_told_with_its_end(systemd: Systemd) -> None:
    systemd.serve()
    systemd.turn()
    systemd.watchdog.reloading()
    systemd.watchdog.reloaded("1 pipelines")
    assert systemd.heard() == ["RELOADING=1", "MONOTONIC_USEC=1000000", "READY=1", "STATUS=1 pipelines"]


def test_a_reload_before_the_start_is_over_does_not_end_it(systemd: Systemd) -> None:
    systemd.watchdog.said("cam", "waiting", "its model is being tried", "trial")
    systemd.watchdog.reloading()
    systemd.watchdog.reloaded("1 pipelines")
    assert systemd.heard() == []
