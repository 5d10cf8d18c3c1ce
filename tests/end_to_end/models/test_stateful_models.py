"""Two pipelines of one model that remembers what it was shown: neither hears what the other was shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fixtures.agents.agent import Whole, run_whole
from fixtures.paths import TINY_MODELS
from inferd.config import settings

COUNTING = TINY_MODELS / "counting.tflite"


def counting(name: str, file: Path, at_end: Any = "stop") -> settings.Pipeline:  # Any: a literal
    """Return a pipeline of a model that gives twice the sum of all that it was shown."""
    return settings.Pipeline(
        name=name,
        model=str(COUNTING),
        source=settings.NpzSource(path=str(file)),
        pace=settings.Pace(mode="fast", at_end=at_end),
        engine=settings.EngineConfig(threads=1),
        overrides=settings.Overrides(task="regress"),
        report=settings.ReportConfig(max_per_s=0),
    )


def steps(folder: Path, count: int) -> Path:
    file = folder / f"{count}.npz"
    np.savez(file, step=np.ones((count, 1, 1, 1), np.float32))
    return file


def values(whole: Whole, name: str) -> list[float]:
    return [result["values"][0]["value"] for result in whole.bodies(f"{name}/result")]


def test_two_pipelines_of_a_model_with_a_memory_do_not_share_it(tmp_path: Path) -> None:
    file = steps(tmp_path, 20)
    whole = run_whole(tmp_path, counting("one", file), counting("other", file))
    assert values(whole, "one") == values(whole, "other") == [2.0 * n for n in range(1, 21)]


def test_a_source_that_begins_anew_finds_nothing_remembered(tmp_path: Path) -> None:
    looping = counting("one", steps(tmp_path, 3), at_end="loop")
    whole = run_whole(tmp_path, looping, until=lambda so_far: len(values(so_far, "one")) >= 9)
    assert values(whole, "one")[:9] == [2.0, 4.0, 6.0] * 3
