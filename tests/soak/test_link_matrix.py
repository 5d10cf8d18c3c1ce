"""The fault matrix of the link: 10,000 messages through a real mosquitto while each thing goes wrong twenty times."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.campaigns.broker_faults import FAULTS, HEAD, drained, faulty, killed
from fixtures.network import broker

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(broker.PROGRAM is None, reason="there is no mosquitto; apt-get install mosquitto"),
]

COUNT = 10_000


def test_nothing_is_lost_whatever_goes_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = []
    for cell in (*FAULTS, "client killed"):
        folder = tmp_path / cell.replace(" ", "-")
        folder.mkdir()
        outcomes.append(killed(folder, COUNT) if cell == "client killed" else faulty(cell, folder, COUNT))
    with capsys.disabled():
        print("", HEAD, *(one.row for one in outcomes), sep="\n")  # noqa: T201 - the table is what it is for
    assert [one.lost for one in outcomes] == [0] * len(outcomes)
    assert all(one.in_order for one in outcomes)
    assert [one.old_as_new for one in outcomes] == [0] * len(outcomes)
    assert max(one.duplicates for one in outcomes) <= COUNT / 100


@pytest.mark.parametrize(("round_trip_s", "count", "least_per_s"), [(0.01, COUNT, 200.0), (0.3, COUNT, 200.0)])
def test_what_was_missed_comes_fast_enough(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], round_trip_s: float, count: int, least_per_s: float
) -> None:
    told = drained(tmp_path, count, round_trip_s)
    with capsys.disabled():
        print(f"\n{told.cell}: {count / told.took_s:.0f} messages a second")  # noqa: T201 - as above
    assert (told.lost, told.in_order) == (0, True)
    assert count / told.took_s >= least_per_s
