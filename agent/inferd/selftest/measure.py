"""The child that runs a model for a while: it may crash or hang, and that is an answer too.

`python -m inferd.selftest.measure MODEL DELEGATE THREADS SECONDS` prints one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from inferd.config.settings import EngineConfig
from inferd.errors import InferdError
from inferd.plugins import ENGINES, Engine, find
from inferd.system.clock import SystemClock

MOST = 200_000  # samples kept; a board that makes more ends earlier
FEWEST = 5
SHARE = 5  # the first and the last fifth are told apart


def main(arguments: Sequence[str]) -> int:
    """Run and tell; return 0 where the model ran."""
    model, delegate, threads, seconds = arguments
    try:
        told = run(model, EngineConfig(delegate=delegate, threads=int(threads)), float(seconds))
    except InferdError as exc:
        told = {"why": str(exc)}
    sys.stdout.write(json.dumps(told) + "\n")
    return int("why" in told)


def run(model: str, options: EngineConfig, seconds: float) -> dict[str, Any]:  # Any: figures of several types, as JSON
    """Run a model on zeros for so long, and return figures in milliseconds.

    Raises:
        InferdError: it does not load or run so.
    """
    clock = SystemClock()
    engine: Engine
    with closing(find("engine", ENGINES, options.kind)(model, options, clock, "digits")) as engine:
        took = _invokes(engine, clock, seconds)
        info = engine.info
    fifth = max(1, len(took) // SHARE)
    return {
        "runtime": f"{info.runtime} {info.runtime_version}",
        "load_ms": info.load_ms,
        "warmup_ms": info.warmup_ms,
        "nodes": info.nodes,
        "nodes_delegated": info.nodes_delegated,
        "inferences": len(took),
        "p50_ms": _percentile(took, 50),
        "p95_ms": _percentile(took, 95),
        "first_ms": _percentile(took[:fifth], 50),
        "last_ms": _percentile(took[-fifth:], 50),
    }


def _invokes(engine: Engine, clock: SystemClock, seconds: float) -> list[int]:
    """Return what each inference took, nanoseconds."""
    took: list[int] = []
    pause_ns = _pause_ns(engine, clock, seconds)
    ends_ns = clock.monotonic_ns() + int(seconds * 1e9)
    while (began_ns := clock.monotonic_ns()) < ends_ns or len(took) < FEWEST:
        engine.invoke()
        took.append(clock.monotonic_ns() - began_ns)
        while clock.monotonic_ns() - began_ns < pause_ns:  # the processor stays busy, the list stays short
            engine.invoke()
    return took


def _pause_ns(engine: Engine, clock: SystemClock, seconds: float) -> int:
    """Return how far apart samples are kept, so that they spread over the whole time and there are never too many."""
    began_ns = clock.monotonic_ns()
    engine.invoke()
    once_ns = clock.monotonic_ns() - began_ns
    return 0 if seconds * 1e9 / max(1, once_ns) < MOST / 2 else int(seconds * 1e9 / MOST)


def _percentile(took: Sequence[int], percent: int) -> float:
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)] / 1e6


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
