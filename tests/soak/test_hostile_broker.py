"""A hostile broker and hostile clients: 10,000 mutated messages and packets at everything that listens, nothing ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.campaigns.hostile_broker import HEAD, against_ask, against_the_agent, against_the_link, against_watch

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]

COUNT = 10_000
GROWN_MB = 60.0
ANSWERS_S = 1.0


def test_nothing_ends_grows_or_stops_answering(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    attacks = []
    for version in ("3.1.1", "5"):
        folder = tmp_path / version
        folder.mkdir()
        attacks += [against_the_agent(folder, COUNT, version), against_the_link(COUNT, version)]
    attacks += [against_watch(COUNT, "3.1.1"), against_ask(COUNT)]
    with capsys.disabled():
        print("", HEAD, *(one.row for one in attacks), sep="\n")  # noqa: T201 - the table is what it is for
    assert [one.exits for one in attacks] == [0] * len(attacks)
    assert max(one.grown_mb for one in attacks) < GROWN_MB
    assert max(one.slowest_s for one in attacks) < ANSWERS_S
