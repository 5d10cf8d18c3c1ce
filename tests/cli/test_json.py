"""What machines read is one JSON value on standard output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from inferd.cli import BAD_CONFIG, cli


def told(*arguments: str, code: int = 0) -> object:
    result = CliRunner().invoke(cli, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_versions_are_told_by_package() -> None:
    versions = told("version")
    assert isinstance(versions, dict)
    assert {"inferd", "python", "numpy"} <= set(versions)


def test_a_configuration_is_right_or_wrong_with_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_text('[[pipeline]]\nname = "a"\nsource = { kind = "synthetic" }\n')
    assert told("config", "check", str(file)) == {"right": True, "files": [str(file)], "pipelines": ["a"]}
    file.write_text("[http]\nport = 94640\n")
    why = "http.port is 94640; it must lie between 1 and 65,535"
    assert told("config", "check", str(file), code=BAD_CONFIG) == {"right": False, "part": str(file), "why": why}


def test_the_catalogue_and_the_drop_folder_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = told("models", "list", "--catalogue")
    assert isinstance(catalogue, list)
    assert {"name", "licence", "takes"} <= set(catalogue[0])
    monkeypatch.setenv("HOME", str(tmp_path))
    file = tmp_path / "inferd.toml"
    (tmp_path / "models/cat").mkdir(parents=True)
    file.write_text('[models]\nfolder = "models"\n')
    assert told("models", "list", "--config", str(file)) == ["cat"]
