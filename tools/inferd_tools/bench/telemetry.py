"""What telemetry costs, for `make bench`: a sample beside psutil's, the share of a core, what the loop feels of a broker."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

from inferd.bundled_files import bundled
from inferd.config import settings
from inferd.control.reporting.metrics import MetricsReporter
from inferd.system.clock import CountingClock

TIMES = 400
SECONDS = 10.0
FPS = 100
ROUNDS = 3
RESULTS = 600
OFF = ["temperature", "throttling", "clock", "fan", "disk", "network", "pss"]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def rows() -> Iterator[tuple[str, str]]:
    """Yield what was measured, and the figure."""
    yield from _per_sample()
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if program is None:
        yield "telemetry on against off: left out, there is no mosquitto", "-"
        return
    yield from _share_of_a_core(program)
    yield from _broker_gone(program)


def _per_sample() -> Iterator[tuple[str, str]]:
    """Yield the cost of a second's sample, of a report's, and of psutil's for the same figures."""
    clock = CountingClock()
    figures = MetricsReporter(clock, settings.MetricsConfig(pss=False), Path("/"))
    figures.watch("control", os.getpid())

    def second() -> None:
        clock.advance(1.0)
        figures.tick()
        figures.sightings((), ())

    ours, report = _median_us(second), _median_us(lambda: figures.report(0))
    figures.close()
    yield "a second's sample: throttling, power, what alerts watch (µs; goal 40)", f"{ours:.0f}"
    yield "a report: all figures of device and process, made into a message (µs)", f"{report:.0f}"
    yield "  psutil for the same figures (µs)", f"{_median_us(_psutil):.0f}"


def _psutil() -> None:
    psutil.cpu_times()
    psutil.virtual_memory()
    psutil.sensors_temperatures()
    psutil.sensors_fans()
    psutil.cpu_freq()
    psutil.disk_usage("/")
    psutil.disk_io_counters()
    psutil.net_io_counters()
    process = psutil.Process()
    with process.oneshot():
        process.cpu_times()
        process.memory_info()


def _median_us(call: Callable[[], object]) -> float:
    took = []
    for _ in range(TIMES):
        began = time.perf_counter_ns()
        call()
        took.append(time.perf_counter_ns() - began)
    return statistics.median(took) / 1e3


def _share_of_a_core(program: str) -> Iterator[tuple[str, str]]:
    """Yield the processor time of all our processes with telemetry and without, at the same rate of frames."""
    with _broker(program) as (port, _):
        off = [_cpu_share(_quiet()) for _ in range(2)]
        on = [_cpu_share(_talking(port)) for _ in range(2)]
    yield (
        f"all processes at {FPS} frames a second, telemetry off and on (% of a core)",
        f"{100 * min(off):.1f} {100 * min(on):.1f}",
    )
    yield "  telemetry: all meters, 10 results and a report a second (% of a core)", f"{100 * (min(on) - min(off)):.1f}"


def _cpu_share(config: str) -> float:
    with _agent(config) as (pid, lines):
        for _ in range(FPS // 2):
            lines.readline()
        before = _ticks(pid)
        began = time.monotonic()
        while time.monotonic() - began < SECONDS:
            lines.readline()
        return (_ticks(pid) - before) / TICKS_PER_S / (time.monotonic() - began)


def _broker_gone(program: str) -> Iterator[tuple[str, str]]:
    """Yield the loop's p99 with a broker and after it was killed, in turn; and how much it differs by itself."""
    there: list[float] = []
    gone: list[float] = []
    for _ in range(ROUNDS):
        with _broker(program) as (port, kill), _agent(_talking(port, every=True)) as (_, lines):
            _p99_ms(lines)
            there += [_p99_ms(lines), _p99_ms(lines)]
            kill()
            gone += [_p99_ms(lines), _p99_ms(lines)]
    noise = statistics.median(abs(a - b) for a, b in zip(there[::2], there[1::2], strict=True))
    yield (
        "the loop's p99 with a broker, and after kill -9 of it (ms, median)",
        (f"{statistics.median(there):.3f} {statistics.median(gone):.3f}"),
    )
    yield "  by how much two rounds with a broker differ (ms, median)", f"{noise:.3f}"


def _p99_ms(lines: IO[str]) -> float:
    took = sorted(json.loads(lines.readline())["timing_ms"]["total"] for _ in range(RESULTS))
    return float(took[int(0.99 * len(took))])


def _pipeline(per_s: int) -> str:
    model = bundled("digits")
    return (
        f'[[pipeline]]\nname = "digits"\nmodel = "{model}"\nsource = {{ kind = "video", path = "{model}/clip.avi" }}\n'
        f'pace = {{ mode = "fixed", fps = {FPS}, at_end = "loop" }}\nreport = {{ max_per_s = {per_s} }}\n'
    )


def _quiet() -> str:
    switches = "".join(f"{name} = false\n" for name in OFF)
    return f'[mqtt]\nenabled = false\n[metrics]\ninterval_s = 3600.0\npower = "off"\n{switches}{_pipeline(10)}'


def _talking(port: int, *, every: bool = False) -> str:
    return f"[mqtt]\nport = {port}\n[metrics]\ninterval_s = 1.0\n{_pipeline(0 if every else 10)}"


@contextmanager
def _agent(config: str) -> Iterator[tuple[int, IO[str]]]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "inferd.toml")
        file.write_text(f'state_dir = "{folder}/state"\n{config}')
        command = [sys.executable, "-m", "inferd", "run", "--print", "--config", str(file)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as agent:  # noqa: S603 - our own
            assert agent.stdout is not None  # noqa: S101 - it is piped
            try:
                yield agent.pid, agent.stdout
            finally:
                agent.terminate()


@contextmanager
def _broker(program: str) -> Iterator[tuple[int, Callable[[], None]]]:
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
        probe.close()
        file = Path(folder, "mosquitto.conf")
        file.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nuser root\n")
        with subprocess.Popen([program, "-c", str(file)], stderr=subprocess.DEVNULL) as broker:  # noqa: S603 - as found
            try:
                yield port, broker.kill
            finally:
                broker.kill()


def _ticks(pid: int) -> int:
    """Return the processor time of a process and all below it, in clock ticks."""
    below, ticks = {pid}, 0
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        try:
            head, _, fields = stat.read_text().rpartition(") ")
        except OSError:
            continue
        number, parent = int(re.match(r"\d+", head)[0]), int(fields.split()[1])  # type: ignore[index]  # it begins so
        if number == pid or parent in below:
            below.add(number)
            ticks += sum(int(field) for field in fields.split()[11:13])
    return ticks


if __name__ == "__main__":
    for what, figure in rows():
        print(f"{what:<80} {figure:>12}", flush=True)
