"""The real program as its user runs it: real processes, a real model, a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fixtures.agents.agent import Program, alive, environment, program, wait_for

FAKE = """
[mqtt]
enabled = false
[[pipeline]]
name = "cam"
model = "fake"
source = {kind = "synthetic", width = 64, height = 48}
pace = {mode = "fixed", fps = 30}
report = {max_per_s = 0}
engine = {kind = "fake", %s}
"""


def stop(running: Program) -> int:
    """Send SIGTERM; return the exit code. How long it takes (2 s at the most) is a row of `make bench`."""
    running.process.send_signal(signal.SIGTERM)
    return running.process.wait(10)


def test_sigterm_ends_everything(tmp_path: Path) -> None:
    with program(tmp_path, FAKE % "fake = {}") as running:
        running.result()
        assert stop(running) == 0


def test_sigterm_ends_everything_even_while_an_engine_hangs_and_names_the_thread(tmp_path: Path) -> None:
    with program(tmp_path, FAKE % "fake = {hang_at = 5}") as running:
        for _ in range(4):
            running.result()
        time.sleep(0.2)
        assert stop(running) == 0
        assert "the thread 'loop fake' did not end" in running.log()


def test_no_process_outlives_control_however_it_dies(tmp_path: Path) -> None:
    with program(tmp_path, FAKE % "fake = {}") as running:
        running.result()
        left = running.children()
        assert set(left) >= {"inferd-forksrv", "inferd-worker"}
        running.process.kill()
        assert wait_for(lambda: not any(map(alive, left.values())), 5)


def test_no_process_outlives_control_even_while_an_engine_hangs(tmp_path: Path) -> None:
    with program(tmp_path, FAKE % "fake = {hang_at = 3}") as running:
        running.result()
        left = running.children()
        time.sleep(0.3)
        running.process.kill()
        assert wait_for(lambda: not any(map(alive, left.values())), 5)


def test_results_come_back_after_the_worker_is_killed(tmp_path: Path) -> None:
    with program(tmp_path, FAKE % "fake = {}") as running:
        for _ in range(10):
            running.result()
        os.kill(running.children()["inferd-worker"], signal.SIGKILL)
        assert wait_for(lambda: running.result()["frame"] == 0)
        assert "was killed by SIGKILL" in running.log()


def test_results_come_back_after_the_seed_is_killed(tmp_path: Path) -> None:
    with program(tmp_path, FAKE % "fake = {}") as running:
        for _ in range(10):
            running.result()
        os.kill(running.children()["inferd-forksrv"], signal.SIGKILL)
        assert wait_for(lambda: running.result()["frame"] == 0)


def test_control_has_no_array_library_no_opencv_and_no_runtime_loaded(tmp_path: Path) -> None:
    with program(tmp_path, FAKE % "fake = {}") as running:
        running.result()
        maps = Path(f"/proc/{running.process.pid}/maps").read_text()
        worker_maps = Path(f"/proc/{running.children()['inferd-worker']}/maps").read_text()
    heavy = ("numpy", "cv2", "litert", "tflite")
    assert [name for name in heavy if name in maps] == []
    assert "numpy" in worker_maps  # the control of this test: that is how it looks where they are loaded


def test_importing_inferd_loads_nothing_but_the_standard_library() -> None:
    program_text = (
        "import sys; before = set(sys.modules); import inferd;"
        "print([name for name in set(sys.modules) - before"
        " if name.split('.')[0] not in sys.stdlib_module_names | {'inferd'}])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program_text], env=environment(), capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_anything_runs_ends_it_cleanly(tmp_path: Path, signal_number: signal.Signals) -> None:
    with program(tmp_path, FAKE % "fake = {}") as running:
        assert wait_for(lambda: "is waiting" in running.log())
        running.process.send_signal(signal_number)
        assert running.process.wait(5) == 0


def test_a_bad_configuration_ends_with_78_and_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text("[mqtt]\nhots = 'x'\n")
    command = [sys.executable, "-m", "inferd", "run", "--config", str(file)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 78
    assert done.stderr == f"inferd: {file}: [mqtt] has no key 'hots'; did you mean 'host'?\n"


def test_a_reload_uses_the_new_configuration_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    with program(tmp_path, FAKE % "fake = {}") as running:
        running.result()
        file = tmp_path / "inferd.toml"
        good = file.read_text()
        file.write_text("nonsense = 1")
        running.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: "configuration not reloaded" in running.log())
        running.result()
        file.write_text(good.replace('name = "cam"', 'name = "door"'))
        running.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: running.result()["pipeline"] == "door")
