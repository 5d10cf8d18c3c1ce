"""The fault matrix of the link, short: `make soak` runs it with 10,000 messages in each cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.campaigns.broker_faults import FAULTS, drained, faulty, killed, overtaken
from fixtures.network import broker

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(broker.PROGRAM is None, reason="there is no mosquitto; apt-get install mosquitto"),
]

COUNT = 1000
LITTLE_BYTES = 100_000  # two batches and what the way itself holds; a window of batches is twice that


@pytest.mark.parametrize("cell", FAULTS)
def test_nothing_is_lost_and_everything_comes_in_order(tmp_path: Path, cell: str) -> None:
    told = faulty(cell, tmp_path, COUNT)
    assert (told.lost, told.in_order, told.old_as_new) == (0, True, 0)


def test_a_client_that_is_killed_again_and_again_loses_nothing(tmp_path: Path) -> None:
    told = killed(tmp_path, COUNT)
    assert (told.lost, told.in_order) == (0, True)


def test_what_was_missed_comes_back_fast(tmp_path: Path) -> None:
    assert drained(tmp_path, COUNT, 0.01).lost == 0


def test_on_a_slow_way_a_live_message_waits_for_little_of_what_was_missed(tmp_path: Path) -> None:
    assert overtaken(tmp_path) < LITTLE_BYTES


def test_without_the_spool_a_partition_loses_messages(tmp_path: Path) -> None:
    assert faulty("partition of an hour", tmp_path, COUNT, spooled=False, patience_s=2.0).lost > 0


def test_without_the_spool_a_kill_loses_messages(tmp_path: Path) -> None:
    assert killed(tmp_path, COUNT, spooled=False, patience_s=2.0).lost > 0
