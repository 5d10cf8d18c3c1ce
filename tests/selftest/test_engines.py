from __future__ import annotations

import json
import subprocess
import sys

import pytest

from fixtures.agents.agent import environment
from inferd.bundled_files import bundled
from inferd.records import Unavailable
from inferd.selftest.engines import number, processor

MODEL = str(bundled("digits") / "model.tflite")


def measured(*arguments: str) -> dict[str, object]:
    command = [sys.executable, "-m", "inferd.selftest.measure", *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    told: dict[str, object] = json.loads(ran.stdout.splitlines()[-1])
    return told


@pytest.fixture(scope="module")
def digits() -> dict[str, object]:
    return measured(MODEL, "", "1", "0.2")


def test_percentiles_are_of_inferences_that_were_made(digits: dict[str, float]) -> None:
    assert digits["inferences"] >= 5
    assert 0 < digits["p50_ms"] <= digits["p95_ms"]


def test_delegated_operators_are_counted(digits: dict[str, int]) -> None:
    assert 0 <= digits["nodes_delegated"] <= digits["nodes"]


def test_a_model_that_does_not_load_gives_a_sentence() -> None:
    assert "why" in measured("/nowhere/model.tflite", "", "1", "0.1")


@pytest.mark.parametrize(
    ("cpuinfo", "name"),
    [
        ("processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\n", "Some CPU @ 2 GHz"),
        ("processor\t: 0\nCPU part\t: 0xd08\nModel\t\t: Raspberry Pi 4\n", "Raspberry Pi 4"),
        ("processor\t: 0\nCPU part\t: 0xd08\n", ""),
    ],
)
def test_a_processor_is_called_as_the_kernel_calls_it(cpuinfo: str, name: str) -> None:
    assert processor(cpuinfo) == name


def test_a_reading_that_is_missing_is_its_reason() -> None:
    assert (number(Unavailable("no fan")), number(3)) == ("none: no fan", 3.0)
