"""The sample configuration shows every table and key, and is right."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from config.schema import keys
from inferd.config.load import load
from inferd.config.sample import sample
from inferd.config.settings import Config

SAMPLE = sample()


def test_the_sample_is_a_right_configuration(tmp_path: Path) -> None:
    (tmp_path / "inferd.toml").write_text(SAMPLE)
    assert [one.name for one in load(tmp_path / "inferd.toml", {"HOME": "/root"}).config.pipeline] == ["digits"]


@pytest.mark.parametrize("name", Config.__struct_fields__)
def test_the_sample_shows_every_table_and_key_of_the_top_level(name: str) -> None:
    assert f"\n[{name}]\n" in SAMPLE or f"[[{name}]]\n" in SAMPLE or f"\n# {name} = " in SAMPLE


@pytest.mark.parametrize("name", sorted({key.name for key in keys() if "fake" not in key.path}))
def test_the_sample_shows_every_key(name: str) -> None:
    assert any(line.lstrip("# ").startswith(f"{name} = ") for line in SAMPLE.splitlines())


def test_every_default_of_the_sample_is_taken_when_its_line_is_used(tmp_path: Path) -> None:
    lines = [line.removeprefix("# ") for line in SAMPLE.partition("[[alert]]")[0].splitlines()]
    text = "\n".join(line for line in lines if re.fullmatch(r"\[\w+\]|\w+ = [^.]*(\.\d[^.]*)*", line))
    (tmp_path / "inferd.toml").write_text(text)
    loaded = load(tmp_path / "inferd.toml", {"HOME": "/root"}).config
    assert msgspec.json.encode(loaded) == msgspec.json.encode(Config())
