"""Labels of a model: where they come from, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fixtures.models.tflite_writer import (
    CUSTOM,
    PICTURE,
    MetadataMade,
    ModelMade,
    TensorMade,
    classifier,
    labelled,
    write_model,
)
from inferd.config.settings import Overrides
from inferd.errors import ModelError
from inferd.store.description.describe import describe
from inferd.wire.manifest import ModelDescription

DETECTOR = ModelMade([PICTURE], [TensorMade(()) for _ in range(4)], CUSTOM, "TFLite_Detection_PostProcess")


def described(folder: Path, model: ModelMade | bytes, beside: Mapping[str, str]) -> ModelDescription:
    return describe(write_model(folder, model, beside), Overrides(), None)


@pytest.mark.parametrize("name", ["m.txt", "m_labels.txt", "m.labels.txt", "labels.txt"])
def test_a_label_file_beside_the_model_is_found(tmp_path: Path, name: str) -> None:
    found = described(tmp_path, classifier(), {name: "a\nb\nc\n"})
    assert (found.labels, found.told_by["output.labels"]) == (("a", "b", "c"), "labels file")


def test_a_plain_labels_file_belongs_to_nobody_where_several_models_lie(tmp_path: Path) -> None:
    (tmp_path / "other.tflite").write_bytes(b"")
    assert described(tmp_path, classifier(), {"labels.txt": "a\nb\nc\n"}).labels == ()


def test_two_label_files_are_a_question(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"m.txt and labels.txt could both be its labels; name one"):
        described(tmp_path, classifier(), {"m.txt": "a\nb\nc\n", "labels.txt": "a\nb\nc\n"})


def test_labels_come_from_the_metadata_before_the_file_beside(tmp_path: Path) -> None:
    found = described(tmp_path, labelled(MetadataMade(label_file="labels.txt")), {"m.txt": "x\ny\nz\n"})
    assert (found.labels, found.told_by["output.labels"]) == (("a", "b", "c"), "metadata")


def test_labels_that_the_manifest_names_win_over_the_metadata(tmp_path: Path) -> None:
    model = labelled(MetadataMade(label_file="labels.txt"))
    found = described(tmp_path, model, {"m.toml": "[output]\nlabels = 'own.txt'", "own.txt": "x\ny\nz\n"})
    assert (found.labels, found.told_by["output.labels"]) == (("x", "y", "z"), "manifest")


def test_labels_may_stand_in_the_manifest(tmp_path: Path) -> None:
    assert described(tmp_path, classifier(), {"m.toml": "[output]\nlabels = ['a', 'b', 'c']"}).labels == ("a", "b", "c")


def test_a_label_file_by_flag_wins(tmp_path: Path) -> None:
    (tmp_path / "flag.txt").write_text("1\n2\n3\n")
    path = write_model(tmp_path, classifier(), {"m.toml": "[output]\nlabels = ['a', 'b', 'c']"})
    assert describe(path, Overrides(labels=str(tmp_path / "flag.txt")), None).labels == ("1", "2", "3")


def test_a_label_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^nowhere.txt: is not there"):
        described(tmp_path, classifier(), {"m.toml": "[output]\nlabels = 'nowhere.txt'"})


def test_a_label_file_that_was_stripped_from_the_model_is_noted(tmp_path: Path) -> None:
    found = described(tmp_path, classifier(metadata=MetadataMade(label_file="labels.txt").content()), {})
    assert found.notes == ("its metadata names a label file that is no longer in it",)


def test_a_score_calibration_is_noted(tmp_path: Path) -> None:
    found = described(tmp_path, classifier(metadata=MetadataMade(calibrated=True).content()), {})
    assert "score calibration" in found.notes[0]


def test_one_label_too_many_names_both_numbers_and_the_offset_that_would_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"^m.txt: has 4 labels for 3 outputs; .* say label_offset = 1 under"):
        described(tmp_path, classifier(), {"m.txt": "none\na\nb\nc\n"})


def test_one_label_too_few_names_the_offset_that_would_fit(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"has 2 labels for 3 outputs; .* say label_offset = -1 under"):
        described(tmp_path, classifier(), {"m.txt": "a\nb\n"})


def test_a_label_count_that_is_far_off_asks_for_the_right_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 7 labels for 3 outputs; it needs the label file"):
        described(tmp_path, classifier(), {"m.txt": "a\n" * 7})


def test_an_offset_that_is_said_is_taken(tmp_path: Path) -> None:
    found = described(tmp_path, classifier(), {"m.txt": "none\na\nb\nc\n", "m.toml": "[output]\nlabel_offset = 1"})
    assert found.manifest.output.label_offset == 1


def test_an_offset_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 3 labels for 3 outputs with label_offset 1; remove label_offset"):
        described(tmp_path, classifier(), {"m.txt": "a\nb\nc\n", "m.toml": "[output]\nlabel_offset = 1"})


def test_numbered_labels_may_end_before_the_last_output(tmp_path: Path) -> None:
    assert described(tmp_path, classifier(), {"m.txt": "0 a\n1 b\n"}).labels == ("a", "b")


def test_a_detectors_labels_are_not_counted(tmp_path: Path) -> None:
    assert len(described(tmp_path, DETECTOR, {"m.txt": "a\n" * 90}).labels) == 90
