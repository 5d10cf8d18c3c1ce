"""A model for the Edge TPU and its CPU version find each other, and share what lies beside them."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferd.store.description.bundle import find_bundle
from inferd.store.description.cpu_fallback import find_cpu_version


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("cat.tflite", "cat_edgetpu.tflite", "dog_edgetpu.tflite"):
        (tmp_path / name).write_bytes(b"model")
    return tmp_path


def test_the_cpu_version_lies_beside_under_the_same_name(folder: Path) -> None:
    assert find_cpu_version(folder / "cat_edgetpu.tflite") == folder / "cat.tflite"


def test_a_model_without_its_like_has_no_cpu_version(folder: Path) -> None:
    assert find_cpu_version(folder / "dog_edgetpu.tflite") is None


def test_a_cpu_model_has_no_cpu_version(folder: Path) -> None:
    assert find_cpu_version(folder / "cat.tflite") is None


def test_a_manifest_may_name_the_cpu_version(folder: Path) -> None:
    (folder / "dog_edgetpu.toml").write_text('[model]\ntwin = "cat.tflite"\n')
    assert find_cpu_version(folder / "dog_edgetpu.tflite") == folder / "cat.tflite"


@pytest.mark.parametrize("named", ["nowhere.tflite", "dog_edgetpu.tflite", "../cat.tflite"])
def test_a_cpu_version_that_cannot_be_one_is_none(folder: Path, named: str) -> None:
    (folder / "dog_edgetpu.toml").write_text(f'[model]\ntwin = "{named}"\n')
    assert find_cpu_version(folder / "dog_edgetpu.tflite") is None


def test_a_model_that_is_not_there_has_no_cpu_version(folder: Path) -> None:
    assert find_cpu_version(folder / "bird_edgetpu.tflite") is None


@pytest.mark.parametrize(("owner", "other"), [("cat", "cat_edgetpu"), ("cat_edgetpu", "cat")])
def test_both_versions_share_manifest_and_labels(folder: Path, owner: str, other: str) -> None:
    for ending in ("toml", "txt"):
        (folder / f"{owner}.{ending}").touch()
    bundle = find_bundle(folder / f"{other}.tflite")
    assert (bundle.manifest, bundle.labels) == (folder / f"{owner}.toml", (folder / f"{owner}.txt",))


def test_its_own_manifest_goes_before_that_of_its_cpu_version(folder: Path) -> None:
    for name in ("cat.toml", "cat_edgetpu.toml"):
        (folder / name).touch()
    assert find_bundle(folder / "cat_edgetpu.tflite").manifest == folder / "cat_edgetpu.toml"


def test_two_cpu_versions_alone_in_a_folder_own_its_labels(tmp_path: Path) -> None:
    for name in ("cat.tflite", "cat_edgetpu.tflite", "labels.txt"):
        (tmp_path / name).touch()
    assert find_bundle(tmp_path / "cat.tflite").labels == (tmp_path / "labels.txt",)
