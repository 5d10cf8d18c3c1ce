"""The hostile-broker campaign, short: `make soak` runs it with 10,000 messages and packets each."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.campaigns.hostile_broker import Attack, against_ask, against_the_agent, against_the_link, against_watch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

COUNT = 400
GROWN_MB = 60.0
ANSWERS_S = 1.0


def held(attack: Attack) -> bool:
    return attack.exits == 0 and attack.grown_mb < GROWN_MB and attack.slowest_s < ANSWERS_S


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_no_client_of_a_broker_ends_the_agent_or_makes_it_grow(tmp_path: Path, version: str) -> None:
    attack = against_the_agent(tmp_path, COUNT, version)
    assert held(attack), attack


@pytest.mark.parametrize("version", ["3.1.1", "5"])
def test_no_packet_of_a_broker_ends_the_link(version: str) -> None:
    attack = against_the_link(COUNT, version)
    assert held(attack), attack


def test_no_message_ends_watch() -> None:
    attack = against_watch(COUNT, "3.1.1")
    assert held(attack), attack


def test_no_message_ends_ask_with_a_traceback() -> None:
    attack = against_ask(COUNT)
    assert held(attack), attack
