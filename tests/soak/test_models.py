"""Long campaigns against a running agent; `make soak` runs them. INFERD_SOAK_SEED repeats one."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from fixtures.campaigns import kill_at_random, overwrite_at_random

pytestmark = [pytest.mark.soak, pytest.mark.timeout(6 * 3600)]

SEED = int(os.environ.get("INFERD_SOAK_SEED", random.randrange(1 << 30)))  # noqa: S311 - no secret


def test_a_thousand_kills_leave_a_valid_model_each_time(tmp_path: Path) -> None:
    told = kill_at_random(tmp_path, times=1000, seed=SEED)
    assert (told.without_model, told.backwards) == (0, []), SEED


def test_a_thousand_overwrites_cost_no_worker(tmp_path: Path) -> None:
    told = overwrite_at_random(tmp_path, times=1000, seed=SEED)
    assert told.worker_deaths == 0, SEED
