"""Long campaigns against a running agent; `make soak` runs them. INFERD_SOAK_SEED repeats one."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from fixtures.campaigns import (
    drop_mutated,
    kill_at_random,
    overwrite_a_real_model_at_random,
    overwrite_at_random,
)

pytestmark = [pytest.mark.soak, pytest.mark.timeout(6 * 3600)]

SEED = int(os.environ.get("INFERD_SOAK_SEED", random.randrange(1 << 30)))  # noqa: S311 - no secret


def test_a_thousand_kills_leave_a_valid_model_each_time(tmp_path: Path) -> None:
    told = kill_at_random(tmp_path, times=1000, seed=SEED)
    assert (told.without_model, told.backwards) == (0, []), SEED


def test_a_thousand_overwrites_cost_no_worker(tmp_path: Path) -> None:
    told = overwrite_at_random(tmp_path, times=1000, seed=SEED)
    assert told.worker_deaths == 0, SEED


def test_a_thousand_overwrites_of_a_real_model_end_only_the_bare_interpreter(tmp_path: Path) -> None:
    told = overwrite_a_real_model_at_random(tmp_path, times=1000, seed=SEED)
    assert (told.worker_deaths, told.control_died) == (0, True), SEED


def test_two_thousand_mutated_models_cost_no_agent(tmp_path: Path) -> None:
    told = drop_mutated(tmp_path, times=2000, seed=SEED)
    assert (told.agent_deaths, told.accepted + told.refused) == (0, 2000), SEED
