"""The vet child does what a pipeline does with a frame: models that run, but answer wrongly or cannot be fed or read."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from fixtures.models.tflite_writer import mean_color
from fixtures.models.vet_runs import Change, changed, code, digits, golden, labels, manifest, removed, says, vetted
from inferd.bundled_files import bundled
from inferd.system.processes.fork_server import ForkServer

pytestmark = pytest.mark.slow

COLORS = """
[model]
task = "classify"
[input]
range = [0.0, 1.0]
layout = "nhwc"
[output]
labels = ["red", "green", "blue"]
activation = "none"
threshold = 0.1
[golden]
pictures = ["sunset.png"]
"""


def print_result(model: Path, picture: Path) -> None:
    """Put beside a picture what `inferd infer --json` says of it."""
    command = [sys.executable, "-m", "inferd", "infer", "--json", str(model), str(picture)]
    done = subprocess.run(command, capture_output=True, check=True, timeout=60)
    picture.with_suffix(".json").write_bytes(done.stdout)


def colors(folder: Path) -> Path:
    """Return a model that names the strongest colour, with one golden picture, wider than it is high."""
    model = folder / "colors"
    model.mkdir(parents=True)
    (model / "model.tflite").write_bytes(mean_color())
    (model / "model.toml").write_text(COLORS)
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, :60], picture[:, 60:] = (40, 90, 230), (200, 60, 30)  # BGR
    cv2.imwrite(str(model / "sunset.png"), picture)
    print_result(model, model / "sunset.png")
    return model


def digits_with_picture(folder: Path) -> Path:
    """Return the digits model with one golden picture, wider than it is high, and no golden samples."""
    model = digits(folder)
    clip = cv2.VideoCapture(str(bundled("digits") / "clip.avi"))
    _, frame = clip.read()
    clip.release()
    cv2.imwrite(str(model / "zero.png"), np.pad(frame, ((0, 0), (60, 60), (0, 0)), mode="edge"))
    manifest('samples = "golden.npz"', 'pictures = ["zero.png"]')(model)
    print_result(model, model / "zero.png")
    return model


def test_a_golden_picture_that_is_answered_as_expected_verifies_a_model(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    report = vetted(fork_server, tmp_path / "state", colors(tmp_path), None)
    assert (code(report), report.verified) == ("accepted", True)


WRONG: dict[str, tuple[Callable[[Path], Path], Change]] = {
    "bgr": (colors, manifest("[input]", '[input]\ncolor_order = "bgr"')),
    "letterbox": (colors, manifest("[input]", '[input]\nresize = "letterbox"')),
    "a sigmoid too many": (colors, manifest('activation = "none"', 'activation = "sigmoid"')),
    "a threshold of 0.999": (colors, manifest("threshold = 0.1", "threshold = 0.999")),
    "pixels 0..255": (colors, manifest("range = [0.0, 1.0]", "range = [0.0, 255.0]")),
    "labels shifted": (colors, manifest('"red", "green", "blue"', '"green", "blue", "red"')),
    "crop": (digits_with_picture, manifest('resize = "stretch"', 'resize = "crop"')),
    "inverted": (digits_with_picture, manifest("range = [0.0, 1.0]", "range = [1.0, 0.0]")),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_first_model_that_answers_its_golden_picture_otherwise_is_refused(
    fork_server: ForkServer, tmp_path: Path, name: str
) -> None:
    make, change = WRONG[name]
    model = make(tmp_path)
    change(model)
    assert code(vetted(fork_server, tmp_path / "state", model, None)) == "golden_mismatch"


CHANGED = ("bgr", "letterbox", "a sigmoid too many", "a threshold of 0.999")


@pytest.mark.parametrize("name", CHANGED)
def test_another_meaning_of_the_same_weights_is_judged_by_the_golden_pictures_of_the_model_before(
    fork_server: ForkServer, tmp_path: Path, name: str
) -> None:
    old, new = colors(tmp_path / "old"), colors(tmp_path / "new")
    manifest('[golden]\npictures = ["sunset.png"]', "")(new)
    WRONG[name][1](new)
    report = vetted(fork_server, tmp_path / "state", new, old)
    assert code(report) == "meaning_changed"
    assert report.failed is not None
    assert "its weights are those of the model it replaces, but " in report.failed.why


@pytest.mark.parametrize("name", CHANGED)
def test_another_meaning_of_the_same_weights_is_doubtful_where_there_is_no_picture(
    fork_server: ForkServer, tmp_path: Path, name: str
) -> None:
    old, new = colors(tmp_path / "old"), colors(tmp_path / "new")
    for model in (old, new):
        manifest('[golden]\npictures = ["sunset.png"]', "")(model)
    WRONG[name][1](new)
    report = vetted(fork_server, tmp_path / "state", new, old)
    assert code(report) == "accepted"
    key = {"bgr": "input.color_order", "letterbox": "input.resize"}.get(name, "output.")
    assert key in report.doubt


def test_a_new_description_for_people_changes_no_meaning(fork_server: ForkServer, tmp_path: Path) -> None:
    old, new = colors(tmp_path / "old"), colors(tmp_path / "new")
    says('description = "sunsets"')(new)
    report = vetted(fork_server, tmp_path / "state", new, old)
    assert (code(report), report.doubt) == ("accepted", "")


def test_another_model_that_disagrees_with_the_golden_pictures_is_refused(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    """Without pictures of its own; its weights are others, so that only the names must agree."""
    old, new = colors(tmp_path / "old"), colors(tmp_path / "new")
    for copy in ("dusk", "dawn"):
        for suffix in (".png", ".json"):
            (old / f"{copy}{suffix}").write_bytes((old / f"sunset{suffix}").read_bytes())
    manifest('["sunset.png"]', '["sunset.png", "dusk.png", "dawn.png"]')(old)
    manifest('[golden]\npictures = ["sunset.png"]', "")(new)
    changed(lambda content: content.replace(b"made for a test", b"made otherwise!"))(new)
    manifest("[input]", '[input]\ncolor_order = "bgr"')(new)
    assert code(vetted(fork_server, tmp_path / "state", new, old)) == "accuracy_regressed"


def four_channels(folder: Path) -> Path:
    model = folder / "rgba"
    model.mkdir()
    (model / "model.tflite").write_bytes(mean_color(channels=4))
    (model / "model.toml").write_text(COLORS.partition("[golden]")[0].replace('"blue"]', '"blue", "alpha"]'))
    return model


def test_a_model_that_a_pipeline_cannot_feed_pictures_is_refused(fork_server: ForkServer, tmp_path: Path) -> None:
    report = vetted(fork_server, tmp_path / "state", four_channels(tmp_path), None)
    assert code(report) in ("task_mismatch", "accepted")  # accepted once four channels can be fed
    if report.failed is not None:
        assert "takes shape [1, 16, 16, 4]" in report.failed.why


def wrong_classes(model: Path) -> None:
    """Ship labels in another order, and samples whose classes are none of the right ones."""
    manifest("accuracy = 0.98", "")(model)
    golden(lambda some: some.update(label=(some["label"] + 1) % 10))(model)


def stray(name: str, content: bytes) -> Change:
    def add(model: Path) -> None:
        with zipfile.ZipFile(model / "golden.npz", "a") as archive:
            archive.writestr(name, content)

    return add


SAMPLES: dict[str, tuple[Change, str]] = {
    "classes in a column": (golden(lambda some: some.update(label=some["label"].reshape(-1, 1))), "accepted"),
    "classes as real numbers": (golden(lambda some: some.update(label=some["label"].astype("f4"))), "accepted"),
    "one hot": (golden(lambda some: some.update(label=np.eye(10)[some["label"]])), "bad_samples"),
    "halves": (golden(lambda some: some.update(label=some["label"] + 0.5)), "bad_samples"),
    "a class without label": (golden(lambda some: some.update(label=some["label"] + 1)), "bad_samples"),
    "names as classes": (golden(lambda some: some.update(label=some["label"].astype("U1"))), "bad_samples"),
    "stray text": (stray("README.txt", b"digits"), "bad_samples"),
    "stray text that calls itself an array": (stray("label.npy", b"digits"), "bad_samples"),
    "a misspelt key": (golden(lambda some: some.update(labels=some.pop("label"))), "bad_samples"),
    "never right": (wrong_classes, "never_right"),
    "a threshold that hides all": (manifest("threshold = 0.0", "threshold = 1.0"), "accuracy_under_budget"),
    "one label less": (labels(lambda lines: lines[1:]), "bad_labels"),
    "no picture": (manifest('samples = "golden.npz"', 'pictures = ["zero.png"]'), "bad_samples"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_a_first_models_samples_are_read_or_refused(fork_server: ForkServer, tmp_path: Path, name: str) -> None:
    change, expected = SAMPLES[name]
    model = digits(tmp_path)
    change(model)
    assert code(vetted(fork_server, tmp_path / "state", model, None)) == expected


PICTURES: dict[str, tuple[Change, str]] = {
    "no result": (removed("sunset.json"), "bad_samples"),
    "a result of nothing": (lambda model: (model / "sunset.json").write_text("{}"), "bad_samples"),
    "a result that is none": (lambda model: (model / "sunset.json").write_text("[" * 2000), "bad_samples"),
    "a picture that is none": (lambda model: (model / "sunset.png").write_text("sunset"), "bad_samples"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_golden_pictures_that_cannot_be_read_are_refused(fork_server: ForkServer, tmp_path: Path, name: str) -> None:
    change, expected = PICTURES[name]
    model = colors(tmp_path)
    change(model)
    assert code(vetted(fork_server, tmp_path / "state", model, None)) == expected
