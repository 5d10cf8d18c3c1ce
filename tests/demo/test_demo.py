"""`inferd demo` as a person starts it: real agent, real broker, real signals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from fixtures.network.broker import Listener, Mosquitto, eventually, free_port
from inferd.demo import embedded_broker
from inferd.demo.agent import DemoAgent
from inferd.errors import WorkerError

pytestmark = pytest.mark.slow
WITHOUT_AMQTT = "import sys; sys.modules['amqtt'] = None; from inferd.cli import main; main()"
ALL_S = 50.0


class Running:
    """A demo, and whatever it starts."""

    def __init__(self, folder: Path, program: list[str], *arguments: str) -> None:
        self._folder = folder
        command = [sys.executable, *program, "demo", "--plain", *arguments]
        environment = {**os.environ, "TMPDIR": str(folder)}
        self._started = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
        )
        self.pid = self._started.pid
        self._family: list[psutil.Process] = []

    def wait_for(self, wanted: str) -> str:
        """Return the first line in which `wanted` is found."""
        assert self._started.stdout is not None
        for line in self._started.stdout:
            self._family = psutil.Process(self.pid).children(recursive=True)
            if re.search(wanted, line):
                return line
        raise AssertionError(f"the demo ended without {wanted!r}")

    def process(self, argument: str) -> psutil.Process:
        """Return the process that was started with this argument."""
        return next(one for one in self._family if argument in one.cmdline())

    def end(self) -> tuple[str, int]:
        """Return what else is said until the end, and the exit code."""
        said, _ = self._started.communicate(timeout=ALL_S)
        return said, self._started.returncode

    def assert_nothing_is_left(self) -> None:
        assert len(self._family) >= 3, "the agent, its seed and its worker were never seen"
        eventually(lambda: all(map(ended, self._family)), f"{self._family} to end")


def ended(process: psutil.Process) -> bool:
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


@contextmanager
def demo(folder: Path, *arguments: str, program: list[str] | None = None) -> Iterator[Running]:
    running = Running(folder, program or ["-m", "inferd"], *arguments)
    try:
        yield running
    finally:
        if psutil.pid_exists(running.pid):
            os.kill(running.pid, signal.SIGKILL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder that the demo takes for /tmp."""
    made = tmp_path / "tmp"
    made.mkdir()
    return made


def retained_topics(mosquitto: Mosquitto) -> list[str]:
    late = Listener(mosquitto.port)
    late.hear_marker()
    late.close()
    return [topic for topic in late.topics() if topic != "marker"]


def accuracy(said: str) -> float:
    found = re.search(r"(\d+) of (\d+) digits read right", said)
    assert found, said
    return int(found[1]) / int(found[2])


@pytest.mark.skipif(not embedded_broker.installed(), reason="amqtt is not installed; pip install 'inferd[demo]'")
def test_it_reads_digits_with_nothing_at_hand_and_leaves_nothing(folder: Path) -> None:
    with demo(folder, "--seconds", "8", "--port", str(free_port())) as running:
        assert "our own on localhost" in running.wait_for("broker: ")
        running.wait_for("worker .* MB")
        said, code = running.end()
    assert accuracy(said) >= 0.9
    assert code == 0
    running.assert_nothing_is_left()
    assert not list(folder.iterdir())


def test_a_broker_that_runs_here_hears_all_and_keeps_nothing(folder: Path, mosquitto: Mosquitto) -> None:
    listener = Listener(mosquitto.port)
    with demo(folder, "--seconds", "8", "--port", str(mosquitto.port)) as running:
        running.wait_for("worker .* MB")
        said, code = running.end()
    listener.hear_marker()
    listener.close()
    assert (accuracy(said) >= 0.9, code) == (True, 0)
    heard = {topic.split("/", 2)[2] for topic in listener.topics() if topic.startswith("inferd/demo-")}
    assert {"status", "info", "metrics", "digits/result", "digits/status", "digits/model", "event"} <= heard
    assert retained_topics(mosquitto) == []
    running.assert_nothing_is_left()


def test_without_any_broker_it_runs_and_says_how_to_get_one(folder: Path) -> None:
    program = ["-c", WITHOUT_AMQTT]
    with demo(folder, "--seconds", "2", "--port", str(free_port()), program=program) as running:
        assert "sudo apt-get install mosquitto" in running.wait_for("broker: ")
        said, code = running.end()
    assert (accuracy(said) >= 0.9, code) == (True, 0)
    assert not list(folder.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_everything_in_peace(folder: Path, mosquitto: Mosquitto, number: signal.Signals) -> None:
    with demo(folder, "--port", str(mosquitto.port)) as running:
        running.wait_for("frame")
        os.kill(running.pid, number)
        said, code = running.end()
    assert "digits read right" in said
    assert code == 0
    assert retained_topics(mosquitto) == []
    running.assert_nothing_is_left()
    assert not list(folder.iterdir())


def test_a_demo_that_is_killed_takes_everything_with_it(folder: Path) -> None:
    with demo(folder, "--port", str(free_port())) as running:
        running.wait_for("frame")
        os.kill(running.pid, signal.SIGKILL)
        running.end()
    running.assert_nothing_is_left()


def test_an_agent_that_dies_is_told_with_its_last_words(folder: Path) -> None:
    with demo(folder, "--port", str(free_port())) as running:
        running.wait_for("frame")
        running.process("run").kill()
        said, code = running.end()
    assert "inferd: the agent: it was killed by SIGKILL; its last words:" in said
    assert code == 1
    running.assert_nothing_is_left()
    assert not list(folder.iterdir())


def test_an_agent_that_refuses_to_start_is_told_with_its_reason(tmp_path: Path) -> None:
    agent = DemoAgent(tmp_path, "no/device", None)

    def refused() -> bool:
        try:
            agent.check()
        except WorkerError as exc:
            return "ended with exit code 78" in str(exc) and "cannot stand in an MQTT topic" in str(exc)
        return False

    eventually(refused, "the agent to refuse")
