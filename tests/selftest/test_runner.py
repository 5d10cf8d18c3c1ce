"""The whole self-test on this machine, with the real agent."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fixtures.agents.agent import environment
from inferd.selftest.report import SelftestReport

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("selftest") / "report"
    command = [sys.executable, "-m", "inferd", "selftest", "--seconds=5", f"--output={place}"]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return place


@pytest.fixture(scope="module")
def told(place: Path) -> SelftestReport:
    return msgspec.json.decode(place.with_suffix(".json").read_bytes(), type=SelftestReport)


def test_a_model_is_swapped_in_the_running_agent(told: SelftestReport) -> None:
    assert told.agent.swaps >= 3
    assert told.agent.swap_pause_ms is not None


def test_a_killed_worker_comes_back(told: SelftestReport) -> None:
    assert (told.agent.worker_deaths, told.agent.why) == (3, "")


def test_all_cores_were_loaded(told: SelftestReport) -> None:
    assert told.heat.first_ms is not None
    assert told.heat.last_ms is not None


def test_each_meter_reads_something_or_says_why(told: SelftestReport) -> None:
    assert {"temperature_c", "throttled_s", "cpu_pct"} <= told.meters.keys()


def test_the_report_does_not_name_the_device(place: Path) -> None:
    written = place.with_suffix(".json").read_text() + place.with_suffix(".txt").read_text()
    assert platform.node() not in written.replace("localhost", "") or platform.node() == "localhost"
