"""A machine to which nothing is wrong gets no finding, not even a note."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.machines.boards import CONFIG, HEALTHY, Board
from inferd.bundled_files import bundled
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


def lying_open(folder: Path) -> None:
    digits = bundled("digits")
    shutil.copy(digits / "model.tflite", folder / "cat.tflite")
    shutil.copy(digits / "labels.txt", folder / "cat_labels.txt")
    shutil.copy(digits / "golden.npz", folder / "golden.npz")
    (folder / "cat.toml").write_text((digits / "model.toml").read_text().replace("labels.txt", "cat_labels.txt"))


LAYOUTS: dict[str, Callable[[Path], object]] = {
    "a file": lying_open,
    "a folder": lambda folder: shutil.copytree(bundled("digits"), folder / "cat"),
    "a version": lambda folder: shutil.copytree(bundled("digits"), folder / "cat/1.2"),
    "a variant": lambda folder: shutil.copytree(bundled("digits"), folder / "cat+small"),
}


def pi_with(folder: Path, model: str) -> Board:
    board = HEALTHY["Pi 4"](folder)
    board.configure(CONFIG.replace('model = "/var/lib/inferd/models/digits"', model))
    return board


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("model", ['model = "cat"', ""])
def test_a_model_that_is_followed_by_name_is_found_in_the_drop_folder(layout: str, model: str, tmp_path: Path) -> None:
    board = pi_with(tmp_path, model)
    LAYOUTS[layout](tmp_path / "var/lib/inferd/models")
    assert [(one.id, one.what) for one in examine(board.world(), CHECKS).findings] == []


def test_a_pipeline_without_a_model_is_well_before_the_first_one_is_dropped(tmp_path: Path) -> None:
    board = pi_with(tmp_path, "")
    board.configure(CONFIG.replace('model = "/var/lib/inferd/models/digits"', "").replace("models/digits/", ""))
    shutil.move(tmp_path / "var/lib/inferd/models/digits/clip.avi", tmp_path / "var/lib/inferd/clip.avi")
    shutil.rmtree(tmp_path / "var/lib/inferd/models/digits")
    assert [(one.id, one.what) for one in examine(board.world(), CHECKS).findings] == []


def test_a_name_that_is_not_in_the_drop_folder_is_told_with_the_folder(tmp_path: Path) -> None:
    findings = examine(pi_with(tmp_path, 'model = "Cat"').world(), CHECKS).findings
    assert [(one.id, one.where) for one in findings] == [("models.unusable", "/var/lib/inferd/models/Cat")]
