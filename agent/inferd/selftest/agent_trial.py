"""Tries the real agent: a process of its own, in a folder that is thrown away, without a broker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import msgspec

from inferd.bundled_files import bundled
from inferd.control.commands.local_client import ask
from inferd.errors import InferdError, WorkerError
from inferd.selftest.report import AgentMeasurement
from inferd.system.clock import Clock
from inferd.system.processes.parent_death import BoundProgram

WORKER = "inferd-worker"
PATIENCE_S = 120.0  # for one step, on the slowest board (or under emulation)
LOOK_S = 0.01
STOP_S = 10.0
PAUSED = re.compile(r"loop paused for ([\d.]+) ms")
PIECE_BYTES = 1 << 20
TIMES = 3  # swaps and deaths; more where there is time
NANO = 1e9


class AgentTrial:
    """A running agent that is being tried. Owned by one thread; `close` ends it."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        """Start it in an empty folder."""
        self._folder = folder
        self._clock = clock
        self._threads = 1
        self._configure()
        command = [sys.executable, "-P", "-m", "inferd", "run", "--print", "--config", str(folder / "inferd.toml")]
        with (folder / "log").open("wb") as log:
            self._process = BoundProgram(command, stdout=subprocess.PIPE, stderr=log)
        assert self._process.stdout is not None  # noqa: S101 - a PIPE was asked for
        self._results = self._process.stdout
        os.set_blocking(self._results.fileno(), False)

    def next_result_s(self) -> float:
        """Return how long the next result takes.

        Raises:
            WorkerError: it does not come.
        """
        return self._until(self.printed, "gave no result")

    def printed(self) -> int:
        """Return how many results it printed since the last time."""
        return (self._results.read(PIECE_BYTES) or b"").count(b"\n")

    def frames_per_s(self, seconds: float) -> float | None:
        """Return how fast it goes by its own figures, after so long; None where it has none yet."""
        ends_ns = self._clock.monotonic_ns() + seconds * NANO
        while self._clock.monotonic_ns() < ends_ns:
            self._clock.pause(LOOK_S)
            self.printed()
        figures = (self.status().get("metrics") or {}).get("pipelines", {}).get("digits", {})
        fps: float | None = figures.get("fps")
        return fps

    def swap(self) -> None:
        """Have it load the model again with another number of threads, and wait until that serves.

        Raises:
            WorkerError: it does not come about.
        """
        done = len(self.pauses_ms())
        self._threads = 3 - self._threads
        self._configure()
        os.kill(self._process.pid, signal.SIGHUP)
        self._until(lambda: len(self.pauses_ms()) > done and self.threads() == self._threads, "did not swap")

    def kill_worker_s(self) -> float:
        """Kill its worker and return how long the next result of another worker takes.

        Raises:
            WorkerError: there is no worker, or none comes back.
        """
        old = self.worker()
        if old is None:
            raise WorkerError("the agent", "it has no worker to kill")
        os.kill(old, signal.SIGKILL)
        away_s = self._until(lambda: self.worker() not in {None, old}, "did not start another worker")
        self.printed()  # what the dead one had said
        return away_s + self.next_result_s()

    def pauses_ms(self) -> list[float]:
        """Return how long the loop stood still for each model that it took, the first included."""
        return [float(text) for text in PAUSED.findall((self._folder / "log").read_text(errors="replace"))]

    def threads(self) -> int | None:
        """Return how many threads the model that serves has, None while none does."""
        pipelines = self.status().get("pipelines", {})
        threads: int | None = (pipelines.get("digits", {}).get("model") or {}).get("threads")
        return threads

    def status(self) -> dict[str, Any]:  # Any: messages as they are on the broker
        """Return what it says of itself; nothing while it does not answer."""
        with suppress(InferdError):
            status: dict[str, Any] = msgspec.json.decode(ask(self._folder / "state", "status"))
            return status
        return {}

    def worker(self) -> int | None:
        """Return the process number of its worker, None where there is none."""
        below = {self._process.pid}
        for number, name, parent in sorted(_processes()):
            if parent in below:
                below.add(number)
                if name == WORKER:
                    return number
        return None

    def close(self) -> None:
        """End it. Twice is fine."""
        self._process.stop(STOP_S)
        self._results.close()

    def _until(self, told: Callable[[], object], what: str) -> float:
        began_ns = self._clock.monotonic_ns()
        while not told():
            spent_s = (self._clock.monotonic_ns() - began_ns) / NANO
            if ended := self._process.ended():
                raise WorkerError("the agent", f"it {ended.sentence}: {self._last_words()}")
            if spent_s > PATIENCE_S:
                raise WorkerError("the agent", f"it {what} in {PATIENCE_S:.0f} s: {self._last_words()}")
            self._clock.pause(LOOK_S)
        return (self._clock.monotonic_ns() - began_ns) / NANO

    def _last_words(self) -> str:
        return (self._folder / "log").read_text(errors="replace").strip().rpartition("\n")[2] or "without a word"

    def _configure(self) -> None:
        """Write its configuration: our model on our clip, for ever, as fast as it goes. JSON's strings are TOML's."""
        digits = bundled("digits")
        model, clip, state = (json.dumps(str(path)) for path in (digits, digits / "clip.avi", self._folder / "state"))
        text = (
            f'device = "selftest"\nstate_dir = {state}\n[mqtt]\nenabled = false\n[metrics]\ninterval_s = 1.0\n'
            f'[[pipeline]]\nname = "digits"\nmodel = {model}\nsource = {{kind = "video", path = {clip}}}\n'
            f'pace = {{mode = "fast", at_end = "loop"}}\nreport = {{max_per_s = 0}}\nengine = {{threads = {self._threads}}}\n'
        )
        (self._folder / "inferd.toml").write_text(text)


def try_agent(folder: Path, clock: Clock, seconds: float) -> AgentMeasurement:
    """Start the agent, swap its model and kill its worker, at least a few times and for about so long."""
    told = AgentMeasurement()
    ends_ns = clock.monotonic_ns() + seconds * NANO
    trial = AgentTrial(folder, clock)
    try:
        told = msgspec.structs.replace(told, first_result_s=trial.next_result_s())
        told = msgspec.structs.replace(told, frames_per_s=trial.frames_per_s(max(2.5, seconds / 5)))
        deaths: list[float] = []
        swaps = 0
        while swaps < TIMES or (clock.monotonic_ns() < ends_ns and swaps < TIMES**3):
            trial.swap()
            swaps += 1
            told = msgspec.structs.replace(told, swaps=swaps, swap_pause_ms=max(trial.pauses_ms()[1:]))
        for _ in range(TIMES):
            deaths.append(trial.kill_worker_s())
            told = msgspec.structs.replace(told, worker_deaths=len(deaths), recovery_s=median(deaths))
    except InferdError as exc:
        return msgspec.structs.replace(told, why=str(exc))
    finally:
        trial.close()
    return told


def _processes() -> list[tuple[int, str, int]]:
    """Return number, name and parent of each process that is not dead."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            number, _, rest = stat.read_text(errors="replace").partition(" (")
            name, _, state = rest.rpartition(") ")
            if state[0] != "Z":
                found.append((int(number), name, int(state.split()[1])))
    return found
