"""What `--fix` does, and what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.machines.boards import CONFIG, Board, pi4
from inferd.config.load import load
from inferd.doctor.fixes import fix_all
from inferd.doctor.registry import CHECKS
from inferd.doctor.runner import examine


@pytest.fixture
def board(tmp_path: Path) -> Board:
    """Return a healthy machine."""
    return pi4(tmp_path / "root")


def fix(board: Board) -> tuple[str, ...]:
    world = board.world()
    return fix_all(world, examine(world, CHECKS).findings)


def test_a_healthy_machine_is_left_alone(board: Board) -> None:
    assert fix(board) == ()


def test_a_missing_configuration_is_written(board: Board) -> None:
    board.remove("/etc/inferd/inferd.toml")
    assert fix(board) == ("wrote /etc/inferd/inferd.toml",)
    assert len(load(board.root / "etc/inferd/inferd.toml", board.environment).config.pipeline) == 1


def test_a_configuration_without_pipelines_is_left_to_its_owner(board: Board) -> None:
    board.configure("[mqtt]\nenabled = false\n")
    (said,) = fix(board)
    assert said.startswith("left /etc/inferd/inferd.toml as it is")
    assert (board.root / "etc/inferd/inferd.toml").read_text() == "[mqtt]\nenabled = false\n"


def test_a_password_that_everybody_may_read_is_closed_to_others(board: Board) -> None:
    file = board.write("/etc/inferd/password", "secret\n", 0o644)
    board.configure(
        CONFIG.replace("enabled = false", 'enabled = false\nusername = "a"\npassword_file = "/etc/inferd/password"')
    )
    assert fix(board) == ("/etc/inferd/password is no longer open to everybody",)
    assert file.stat().st_mode & 0o777 == 0o640


def test_what_the_disk_refuses_is_told(board: Board) -> None:
    board.remove("/etc/inferd/inferd.toml")
    (board.root / "etc/inferd").rmdir()
    (board.root / "etc/inferd").write_text("in the way")
    (said,) = fix(board)
    assert said.startswith("could not mend config.none")
