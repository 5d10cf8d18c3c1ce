"""A machine to which nothing is wrong gets no finding, not even a note."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.boards import HEALTHY
from inferd.doctor.checks import CHECKS
from inferd.doctor.rounds import examine
from inferd.install import layout


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_machine_has_no_finding(name: str, tmp_path: Path) -> None:
    report = examine(HEALTHY[name](tmp_path).world(), CHECKS)
    assert [(one.id, one.what) for one in report.findings] == []


def test_a_unit_that_runs_inferd_from_elsewhere_is_as_good(tmp_path: Path) -> None:
    board = HEALTHY["Pi 4"](tmp_path)
    (unit, *_) = layout.files(layout.source_dir(), Path("/home/pi/.local/venv/bin/inferd"), 252)
    board.write(str(unit.path), unit.text)
    assert examine(board.world(), CHECKS).findings == ()


@pytest.mark.parametrize("name", HEALTHY)
def test_every_check_is_made_on_a_healthy_machine(name: str, tmp_path: Path) -> None:
    assert examine(HEALTHY[name](tmp_path).world(), CHECKS).unchecked == ()
