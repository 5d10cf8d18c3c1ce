"""Hints can be pasted: they call inferd as it was called, and name what a model takes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inferd.catalogue.entries import entries
from inferd.cli.pasteable_commands import COMMAND, program

INFERD = Path(sys.executable).with_name("inferd")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(folder)}
    return subprocess.run(
        [str(INFERD), *arguments], capture_output=True, text=True, env=bare, cwd=folder, timeout=50, check=False
    )


@pytest.mark.slow
def test_init_names_the_next_commands_as_it_was_called(tmp_path: Path) -> None:
    said = run(tmp_path, "init", "inferd.toml")
    assert f"next     {INFERD} doctor --config inferd.toml; {INFERD} run --config inferd.toml\n" in said.stdout


@pytest.mark.slow
def test_an_error_names_a_command_as_it_was_called(tmp_path: Path) -> None:
    said = run(tmp_path, "status", "--config", "nowhere.toml")
    assert said.returncode == 78
    assert f"see `{INFERD} config sample`" in said.stderr


@pytest.mark.slow
def test_init_keeps_an_edited_file_each_time_it_is_forced(tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    for edit in ("# first\n", "# second\n"):
        file.write_text(edit)
        assert "kept     " in run(tmp_path, "init", "--force", "inferd.toml").stdout
    assert (tmp_path / "inferd.toml.old").read_text() == "# first\n"
    assert (tmp_path / "inferd.toml.old2").read_text() == "# second\n"
    assert run(tmp_path, "config", "check", "inferd.toml").returncode == 0


def test_only_commands_are_changed() -> None:
    assert COMMAND.sub("X", "run `inferd doctor`; inferd is here, /opt/inferd run; inferd run") == (
        "run `X doctor`; inferd is here, /opt/inferd run; X run"
    )


def test_a_program_that_the_shell_does_not_find_is_called_by_its_path() -> None:
    assert program("/somewhere/inferd") == "/somewhere/inferd"
    assert program("/usr/lib/python3/__main__.py") == f"{sys.executable} -m inferd"


def test_a_model_of_the_catalogue_that_hears_is_tried_on_a_sound() -> None:
    for entry in entries():
        assert (entry.takes == "SOUND.wav") == ("[signal]" in entry.manifest), entry.name
        assert bool(entry.needs) == ('"microfrontend"' in entry.manifest)
