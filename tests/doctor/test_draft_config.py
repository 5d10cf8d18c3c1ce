"""`inferd init`: what is found becomes a configuration that is right."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fixtures.machines.boards import HEALTHY, Board
from fixtures.machines.python_installs import OWN, Install, install
from inferd.config import settings
from inferd.config.load import load
from inferd.doctor.draft_config import draft, look
from inferd.install.layout import starting_config


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Install:
    """Return an environment in which nothing is installed but inferd itself."""
    return install(tmp_path_factory.mktemp("bare"), OWN)


@pytest.mark.parametrize("machine", HEALTHY.values(), ids=HEALTHY)
def test_the_draft_for_every_board_is_a_right_configuration(machine: Callable[[Path], Board], tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text(draft(look(machine(tmp_path / "root").world())))
    assert len(load(file, {"HOME": str(tmp_path)}).config.pipeline) == 1


def test_a_usb_camera_becomes_a_pipeline_by_the_name_that_stays(tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text(draft(look(HEALTHY["Pi 5"](tmp_path / "root").world())))
    (pipeline,) = load(file, {"HOME": str(tmp_path)}).config.pipeline
    assert pipeline.name == "046d-hd-pro-webcam-c920"
    assert pipeline.source == settings.V4l2Source(path="/dev/v4l/by-id/usb-046d_HD_Pro_Webcam_C920-video-index0")


def test_a_csi_camera_becomes_a_pipeline_of_rpicam(tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text(draft(look(HEALTHY["Pi 4"](tmp_path / "root").world())))
    (pipeline,) = load(file, {"HOME": str(tmp_path)}).config.pipeline
    assert pipeline.source == settings.CommandSource(preset="rpicam")


def test_a_power_meter_is_named(tmp_path: Path) -> None:
    board = HEALTHY["Pi 4"](tmp_path / "root")
    board.write("/sys/class/hwmon/hwmon3/name", "ina219\n")
    assert "# What this device draws is measured by ina219." in draft(look(board.world())).splitlines()


def test_init_needs_nothing_installed_and_tells_what_it_found_and_what_is_next(bare: Install, tmp_path: Path) -> None:
    said = bare.run("init", str(tmp_path / "inferd.toml"))
    assert said.returncode == 0
    assert [line.split()[0] for line in said.stdout.splitlines()] == [
        "board",
        "cameras",
        "accel",
        "broker",
        "power",
        "wrote",
        "next",
    ]


def test_init_never_writes_over_a_configuration(bare: Install, tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text("# mine\n")
    said = bare.run("init", str(file))
    assert said.returncode == 1
    assert "--force" in said.stderr
    assert file.read_text() == "# mine\n"


def test_init_writes_over_it_when_forced(bare: Install, tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text("# mine\n")
    assert bare.run("init", "--force", str(file)).returncode == 0
    assert "[mqtt]" in file.read_text()


def test_init_replaces_the_sample_that_the_installation_left_untouched(bare: Install, tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text(starting_config())
    assert bare.run("init", str(file)).returncode == 0
    assert "[[pipeline]]" in file.read_text().splitlines()
