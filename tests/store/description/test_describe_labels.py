"""Labels of a model: where they come from, and whether they fit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from fixtures.models.collection import model_path
from fixtures.models.tflite_writer import (
    CUSTOM,
    PICTURE,
    MetadataMade,
    ModelMade,
    TensorMade,
    classifier,
    labelled,
    with_zip,
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


@pytest.mark.parametrize("first", ["background", "???", "__background__"])
def test_a_first_label_of_no_class_names_the_offset_that_fits(tmp_path: Path, first: str) -> None:
    with pytest.raises(ModelError, match=r"^m.txt: has 4 labels for 3 classes, .* set label_offset = 1 under"):
        described(tmp_path, classifier(), {"m.txt": f"{first}\na\nb\nc\n"})


@pytest.mark.parametrize("count", [2, 4, 7])
def test_a_label_count_that_does_not_fit_proposes_no_offset(tmp_path: Path, count: int) -> None:
    with pytest.raises(ModelError, match=f"has {count} labels for 3 classes; it needs the label file") as refused:
        described(tmp_path, classifier(), {"m.txt": "a\n" * count})
    assert "label_offset" not in str(refused.value)


def test_an_offset_that_is_said_is_taken(tmp_path: Path) -> None:
    found = described(tmp_path, classifier(), {"m.txt": "none\na\nb\nc\n", "m.toml": "[output]\nlabel_offset = 1"})
    assert found.manifest.output.label_offset == 1


def test_an_offset_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 3 labels for 3 classes with label_offset 1; remove label_offset"):
        described(tmp_path, classifier(), {"m.txt": "a\nb\nc\n", "m.toml": "[output]\nlabel_offset = 1"})


def test_numbered_labels_that_end_early_are_a_question(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r'ends at number 1, but the model has 3 classes; .* add a line "2 -"'):
        described(tmp_path, classifier(), {"m.txt": "0 a\n1 b\n"})
    assert described(tmp_path, classifier(), {"m.txt": "0 a\n1 b\n2 -\n"}).labels == ("a", "b", "")


def test_labels_of_a_detector_that_names_no_number_of_classes_are_taken(tmp_path: Path) -> None:
    found = described(tmp_path, DETECTOR, {"m.txt": "a\n" * 90})
    assert (len(found.labels), found.manifest.output.label_offset) == (90, 0)


SSD_OF_90 = model_path("tiny/bright_cells_of_90").read_bytes()
COCO = "person\n" + "thing\n" * 89


@pytest.mark.parametrize(("labels", "offset"), [(COCO, 0), (f"???\n{COCO}", 1), (f"background\n{COCO}", 1)])
def test_a_detectors_label_file_that_begins_with_the_background_is_one_ahead(
    tmp_path: Path, labels: str, offset: int
) -> None:
    """TFLite's detection operator gives 0 for the first class after the background; it names 90 classes here."""
    found = described(tmp_path, SSD_OF_90, {"m.txt": labels})
    assert found.facts.classes == 90
    assert (found.manifest.output.label_offset, found.labels[offset]) == (offset, "person")


def test_a_detectors_label_count_is_compared_with_its_operators(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="has 80 labels for 90 classes; it needs the label file"):
        described(tmp_path, SSD_OF_90, {"m.txt": "thing\n" * 80})


@pytest.mark.parametrize(
    "name", ["m_labels.json", "labels.json", "labels.csv", "labelmap.txt", "labelmap.pbtxt", "data.yaml"]
)
def test_label_files_of_training_tools_are_found_beside_the_model(tmp_path: Path, name: str) -> None:
    content = {
        "json": '["a", "b", "c"]',
        "csv": "label\na\nb\nc\n",
        "txt": "a\nb\nc\n",
        "yaml": "names: [a, b, c]\n",
        "pbtxt": "".join(f"item {{ id: {number} name: '{text}' }}\n" for number, text in enumerate("abc")),
    }
    assert described(tmp_path, classifier(), {name: content[name.rpartition(".")[2]]}).labels == ("a", "b", "c")


@pytest.mark.parametrize(
    "content", [b'{"names": {"0": "a", "1": "b", "2": "c"}}', b"{'names': {0: 'a', 1: 'b', 2: 'c'}}"]
)
def test_the_names_that_ultralytics_appends_to_a_model_are_its_labels(tmp_path: Path, content: bytes) -> None:
    found = described(tmp_path, with_zip(classifier().content(), {"metadata.json": content}), {})
    assert (found.labels, found.told_by["output.labels"]) == (("a", "b", "c"), "metadata")
