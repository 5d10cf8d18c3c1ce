"""Short forms of the campaigns that `make soak` runs at length."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.campaigns import (
    drop_mutated,
    kill_at_random,
    overwrite_a_real_model_at_random,
    overwrite_at_random,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_killing_anybody_at_any_instant_leaves_a_valid_model(tmp_path: Path) -> None:
    told = kill_at_random(tmp_path, times=20, seed=1)
    assert told.without_model == 0
    assert told.backwards == []
    assert sum(told.kills.values()) == 20


def test_overwriting_a_serving_models_file_in_any_manner_disturbs_nobody(tmp_path: Path) -> None:
    told = overwrite_at_random(tmp_path, times=30, seed=1)
    assert told.worker_deaths == 0
    assert told.accepted == told.served


def test_overwriting_a_real_models_file_while_it_serves_ends_no_worker(tmp_path: Path) -> None:
    told = overwrite_a_real_model_at_random(tmp_path, times=30, seed=1)
    assert told.worker_deaths == 0
    assert told.accepted == told.served


def test_mutated_models_are_judged_while_a_whole_one_serves(tmp_path: Path) -> None:
    told = drop_mutated(tmp_path, times=20, seed=1)
    assert told.agent_deaths == 0
    assert told.accepted + told.refused == 20
