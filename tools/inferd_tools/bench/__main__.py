"""`make bench`: what inferd costs and how fast it recovers, each as a ratio or a difference within one run.

Figures of different machines, or of different runs on a busy machine, are not comparable; the ratios are. Models come
from the assets folder ($INFERD_ASSETS, or ../shared/assets beside the project); rows without their model are left out.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any

from ai_edge_litert.interpreter import Interpreter

from inferd import ipc
from inferd.config import settings
from inferd.pipeline import PipelineQueue, build_steps
from inferd.runtime.litert import LiteRt
from inferd.sources.synthetic import Synthetic
from inferd.store.description.describe import describe
from inferd.system.clock import SystemClock
from inferd.system.processes.channel import Channel, channel_pair
from inferd.system.processes.heartbeats import Heartbeats
from inferd.system.threads import Condition
from inferd.wire.manifest import Filter
from inferd.worker.loaded_engine import LoadedEngine
from inferd.worker.loop import Loop
from inferd.worker.outbound import LoopOutbound, Outbound, StatusReporter
from inferd_tools.bench import telemetry
from inferd_tools.bench.parts import part_rows
from inferd_tools.bench.stages import stage_rows
from inferd_tools.bench.swap import swap_rows
from inferd_tools.bench.trial import trial_rows

ROOT = Path(__file__).resolve().parents[3]
ASSETS = Path(os.environ.get("INFERD_ASSETS", ROOT.parent / "shared" / "assets"))
WHOLE = (0.0, 0.0, 1.0, 1.0)
TURNS = 300
KILLS = 5


def main() -> None:
    """Print all rows."""
    print(f"{'what':<72} {'figure':>12}")
    for path, goal in (
        ("models/classify/mobilenet_v2_1.0_224_quant.tflite", 1.05),
        ("models/classify/mobilenet_v1_0.25_128_quant.tflite", 1.12),
    ):
        if (ASSETS / path).is_file():
            loop_over_invoke(ASSETS / path, "linear", f"goal {goal}")
            loop_over_invoke(ASSETS / path, "fast_area", "the default")
    row("stages: preprocess, invoke, decode (µs, median, one thread, 640 x 480)", "")
    for what, figure in stage_rows(ASSETS / "models", ASSETS / "images"):
        row(what, figure)
    row("parts: µs, and multiples of a linear resize of 640 x 480 to 224 x 224 (median)", "")
    for what, figure in part_rows():
        row(what, figure)
    recovery()
    for what, figure in chain(swap_rows(ASSETS / "models"), trial_rows(), telemetry.rows()):
        row(what, figure)


def row(what: str, figure: str) -> None:
    """Print one row."""
    print(f"{what:<72} {figure:>12}", flush=True)


def loop_over_invoke(model: Path, resize_filter: Filter, remark: str) -> None:
    """Print what a whole turn of the loop costs over the bare invoke, both in turn, one CPU thread each."""
    bare = Interpreter(str(model), num_threads=1)
    bare.allocate_tensors()
    turn, put, drain = _loop(model, settings.Overrides(resize_filter=resize_filter))
    turns, invokes = [], []
    for _ in range(TURNS):
        put()
        turns.append(_timed(turn))
        drain()
        invokes.append(_timed(bare.invoke))
    turn_us, invoke_us = statistics.median(turns) / 1e3, statistics.median(invokes) / 1e3
    ratio = statistics.median(a / b for a, b in zip(turns, invokes, strict=True))
    row(f"loop over invoke, {model.stem}, {resize_filter} ({remark})", f"{ratio:.3f}")
    row("  turn, invoke, difference (µs, median)", f"{turn_us:.0f} {invoke_us:.0f} {turn_us - invoke_us:.0f}")


def _timed(call: Callable[[], object]) -> int:
    started = time.perf_counter_ns()
    call()
    return time.perf_counter_ns() - started


def _loop(
    model: Path, overrides: settings.Overrides
) -> tuple[Callable[[], object], Callable[[], object], Callable[[], object]]:
    """Return a worker's loop on 640x480 frames: turn it, give it a frame, take what it sent to control."""
    clock = SystemClock()
    options = settings.EngineConfig(threads=1)
    pipeline = settings.Pipeline(name="cam", model=str(model), source=settings.SyntheticSource(), engine=options)
    engine = LiteRt(str(model), options, clock, model.stem)
    description = describe(model, overrides, None)
    ours, theirs = channel_pair()
    to_control: Channel[Any, Any] = Channel(ours, ipc.ToWorker)  # type: ignore[arg-type]  # Any: only bytes are counted here
    from_worker: Channel[Any, Any] = Channel(theirs, ipc.FromWorker)  # type: ignore[arg-type]  # as above
    outbound = Outbound(to_control)
    queues = {"cam": PipelineQueue(pipeline, Condition())}
    observer = LoopOutbound("cam", {"cam": StatusReporter("cam", outbound)}, outbound)
    loop = Loop(queues, Condition(), Heartbeats.create().slot(1), clock, observer)
    loop.offer(LoadedEngine(description.ref, engine, {"cam": build_steps(description, engine, WHOLE)}))
    loop.run_once()
    source = Synthetic(settings.SyntheticSource(), clock)

    def drain() -> None:
        while from_worker.receive(0):
            pass

    return loop.run_once, lambda: queues["cam"].put(source.read(1)), drain


def recovery() -> None:
    """Print how long results stay away when the worker is killed, and what all processes weigh."""
    with _agent() as lines:
        for _ in range(30):
            frame = _frame(lines)
        for name, pid in _processes().items():
            row(f"{name}: RSS, PSS (MB)", " ".join(f"{mb:.1f}" for mb in _memory_mb(pid)))
        gaps = []
        for _ in range(KILLS):
            killed_ns = time.monotonic_ns()
            os.kill(_processes()["inferd-worker"], signal.SIGKILL)
            before, frame = frame, _frame(lines)
            while frame > before:  # what was still on its way
                before, frame = frame, _frame(lines)
            gaps.append((time.monotonic_ns() - killed_ns) / 1e9)
            for _ in range(15):
                frame = _frame(lines)
    row("results are back after kill -9 of the worker (s, median)", f"{statistics.median(gaps):.2f}")
    row(f"  worst of {KILLS} (goal 0.5 s and the model's load time)", f"{max(gaps):.2f}")


@contextmanager
def _agent() -> Iterator[IO[str]]:
    """Run the agent on the bundled model and clip; give the lines it prints, one a result."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "inferd.toml")
        config.write_text(f'state_dir = "{folder}/state"\n[mqtt]\nenabled = false\n[watch]\nrestart_max_s = 0.001\n')
        command = [sys.executable, "-m", "inferd", "run", "--print", "--config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as agent:  # noqa: S603 - our own
            assert agent.stdout is not None  # noqa: S101 - it is piped
            try:
                yield agent.stdout
            finally:
                agent.terminate()


def _frame(lines: IO[str]) -> int:
    return int(json.loads(lines.readline())["frame"])


def _processes() -> dict[str, int]:
    """Return the agent's processes by name, found below this one."""
    found: dict[str, int] = {}
    below = {os.getpid()}
    for stat in sorted(Path("/proc").glob("[0-9]*/stat"), key=lambda path: int(path.parent.name)):
        try:
            pid, name, state, parent = re.match(r"(\d+) \((.*)\) (\S) (\d+)", stat.read_text()).engine_threads()  # type: ignore[union-attr]  # its format
        except OSError:
            continue
        if int(parent) in below and state != "Z":
            below.add(int(pid))
            found["inferd-control" if "python" in name or name == "inferd" else name] = int(pid)
    return found


def _memory_mb(pid: int) -> tuple[float, float]:
    """Return RSS and PSS."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return tuple(int(kb) / 1024 for kb in re.findall(r"^(?:Rss|Pss): +(\d+) kB", text, re.MULTILINE)[:2])  # type: ignore[return-value]  # two


if __name__ == "__main__":
    main()
