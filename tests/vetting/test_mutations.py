"""Models with random bytes changed, dropped with golden samples: none is accepted whose answers are outside tolerance."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest

from fixtures.campaigns import mutated
from inferd import ipc
from inferd.bundled import bundled
from inferd.config import settings
from inferd.control.examination import ENVIRONMENT, PRELOAD, Accepted, examine
from inferd.control.following import release
from inferd.system.seed import Seed


def vet_mutations(folder: Path, times: int, seed: int) -> dict[str, int]:
    """Vet so many mutations; return how many came to which end. What is accepted passed the golden gate."""
    shutil.copytree(bundled("digits"), folder / "digits", ignore=shutil.ignore_patterns("clip*", "README*"))
    model, draw, ends = folder / "digits" / "model.tflite", random.Random(seed), dict[str, int]()  # noqa: S311 - no secret
    whole = model.read_bytes()
    with Seed(PRELOAD, ENVIRONMENT) as forks:
        for _ in range(times):
            model.write_bytes(mutated(whole, draw))
            verdict = examine(forks, request(folder), 10.0)
            assert verdict.report is not None
            if isinstance(verdict, Accepted):
                release(verdict)
                judged = {gate.gate: gate for gate in verdict.report.gates}["behaviour"]
                assert judged.finding == "pass"
            end = verdict.report.failed.code if verdict.report.failed else "accepted"
            ends[end] = ends.get(end, 0) + 1
    return ends


def request(folder: Path) -> ipc.Examine:
    return ipc.Examine(
        str(folder / "digits"), settings.Overrides(), settings.Engine(), str(folder / "state"), gates=True
    )


@pytest.mark.slow
def test_no_mutation_is_accepted_that_answers_otherwise(tmp_path: Path) -> None:
    ends = vet_mutations(tmp_path, 100, seed=7)
    assert sum(ends.values()) == 100
    assert ends.get("accepted", 0) < 100


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_no_mutation_of_two_thousand_is_accepted_that_answers_otherwise(tmp_path: Path) -> None:
    seed = int(os.environ.get("INFERD_SOAK_SEED", random.randrange(1 << 30)))  # noqa: S311 - no secret
    assert sum(vet_mutations(tmp_path, 2000, seed).values()) == 2000
