from __future__ import annotations

from pathlib import Path

import pytest

from inferd.catalogue.deliver import place
from inferd.errors import StoreError


def test_a_model_lies_in_the_drop_folder_with_its_manifest(tmp_path: Path) -> None:
    target = place(tmp_path / "models", "door", b"TFL3", "[model]\n")
    assert target == tmp_path / "models" / "door"
    assert (target / "model.tflite").read_bytes() == b"TFL3"
    assert (target / "model.toml").read_text() == "[model]\n"


def test_nothing_else_is_left_anywhere(tmp_path: Path) -> None:
    place(tmp_path / "models", "door", b"TFL3", "")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["model.tflite"]
    assert [path.name for path in tmp_path.iterdir()] == ["models"]


def test_the_same_model_again_changes_nothing(tmp_path: Path) -> None:
    first = place(tmp_path, "door", b"TFL3", "")
    before = (first / "model.tflite").stat().st_mtime_ns
    assert (place(tmp_path, "door", b"TFL3", "") / "model.tflite").stat().st_mtime_ns == before


def test_another_model_of_that_name_is_left_alone(tmp_path: Path) -> None:
    place(tmp_path, "door", b"TFL3", "")
    with pytest.raises(StoreError, match="is another model already"):
        place(tmp_path, "door", b"other", "")
    assert (tmp_path / "door" / "model.tflite").read_bytes() == b"TFL3"


@pytest.mark.parametrize("name", ["", "../door", "a/b", ".hidden", "a b"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="cannot be a name"):
        place(tmp_path, name, b"TFL3", "")
