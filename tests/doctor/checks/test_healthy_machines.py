"""A machine to which nothing is wrong gets no finding, not even a note."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.machines.boards import CONFIG, HEALTHY
from inferd.doctor.registry import CHECKS
from inferd.doctor.runner import examine
from inferd.install import layout

LENT = 'username = "a"\npassword_file = "$CREDENTIALS_DIRECTORY/mqtt-password"'


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


@pytest.mark.parametrize("mode", [0o440, 0o400])
def test_a_password_that_systemd_lends_is_well_whatever_its_mode(mode: int, tmp_path: Path) -> None:
    board = HEALTHY["Pi 4"](tmp_path)
    board.write("/run/credentials/inferd.service/mqtt-password", "secret", mode)
    board.configure(CONFIG.replace("enabled = false", f"enabled = false\n{LENT}"))
    assert examine(board.world(), CHECKS).findings == ()


def test_a_password_that_systemd_will_lend_is_not_judged_before_the_service_runs(tmp_path: Path) -> None:
    board = HEALTHY["Pi 4"](tmp_path)
    board.configure(CONFIG.replace("enabled = false", f"enabled = false\n{LENT}"))
    report = examine(board.world(), CHECKS)
    assert (report.findings, {one.id for one in report.unchecked}) == ((), {"broker.password-file", "broker.tls-file"})
