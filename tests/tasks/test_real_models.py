"""What real models say about real pictures, against answers that were worked out without a line of ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.models.collection import find_assets, model_path, published_only, with_published
from fixtures.models.descriptions import BareModel, describe, picture_frame
from fixtures.paths import PHOTOS
from inferd.plugins import TASKS, find
from inferd.preprocess import build
from inferd.records import Array, Result
from inferd.sources.files.images import decode
from inferd.wire.manifest import Filter, InputSection, OutputSection

WHOLE = (0.0, 0.0, 1.0, 1.0)
CLOSE = 0.02
CLASSIFIERS = {
    "mobilenet_v2_1.0_224_quant": InputSection(filter="area"),
    "mobilenet_v2_1.0_224_quant_nometa": InputSection(filter="area"),
    "mobilenet_v1_0.25_224_quant": InputSection(filter="area"),
    "mobilenet_v1_0.25_224_float": InputSection(filter="area", mean=(127.5,), std=(127.5,)),
    "mobilenet_v1_0.25_128_quant": InputSection(filter="area"),
    "vww_96_int8": InputSection(filter="area"),
    "vww_96_float": InputSection(filter="area", range=(0.0, 1.0)),
    "resnet8_cifar10_int8": InputSection(filter="area"),
}
ROBUST = {"mobilenet_v2_1.0_224_quant", "mobilenet_v2_1.0_224_quant_nometa"}
"""Those that name the same class after a quick filter, too."""
SSD = "detect/coco_ssd_mobilenet_v1_quant.tflite"


@cache
def model(file: Path) -> BareModel:
    return BareModel(file)


def run(assets: Path, name: str, picture: str, section: InputSection, said: OutputSection, *, task: str) -> Result:
    file = assets / "images" / picture
    if not file.exists():
        pytest.skip(f"{picture} is not among the assets")
    bare = model(assets / "models" / name)
    labels = (assets / "labels" / "coco_labels.txt").read_text().splitlines() if task == "detect" else ()
    description = describe(section, said, labels)
    steps = build(description, bare.info, WHOLE), find("task", TASKS, task)(description, bare.info)
    return bare.run(*steps, picture_frame(decode(file), picture))


def cases(assets: Path, task: str, model_name: str) -> list[dict[str, Any]]:  # Any: the answers' own JSON
    every = json.loads((assets / "EXPECTED.json").read_text())["cases"]
    return [case for case in every if case["task"] == task and case["model"].endswith(f"/{model_name}.tflite")]


def test_the_digits_model_names_the_same_class_with_the_same_score() -> None:
    bare = model(model_path("bundled/digits/model"))
    section = InputSection(filter="area", range=(0.0, 1.0), color_order="gray")
    description = describe(section, OutputSection())
    steps = build(description, bare.info, WHOLE), find("task", TASKS, "classify")(description, bare.info)
    with np.load(model_path("bundled/digits/golden").with_suffix(".npz")) as golden:
        pictures, expected = golden["picture"], golden["output:scores"] / 256
    for picture, scores in zip(pictures, expected, strict=True):
        shown = np.repeat(picture, 3, axis=2)
        found = bare.run(*steps, picture_frame(shown)).labels
        assert found is not None
        assert found[0].id == int(scores.argmax())
        assert all(label.score == pytest.approx(scores[label.id], abs=CLOSE) for label in found)


@pytest.mark.parametrize("name", published_only(CLASSIFIERS))
def test_classifiers_name_the_same_class_with_the_same_score(assets: Path, name: str) -> None:
    for case in cases(assets, "classify", name):
        found = run(assets, case["model"], case["image"], CLASSIFIERS[name], OutputSection(), task="classify").labels
        assert found is not None
        scores = {label.id: label.score for label in found}
        assert found[0].id == case["top"][0][0], case["image"]
        for index, _, score in case["top"]:
            assert scores[index] == pytest.approx(score, abs=CLOSE), case["image"]
        if name in ROBUST:
            quick = InputSection(filter="linear")
            found = run(assets, case["model"], case["image"], quick, OutputSection(), task="classify").labels
            assert found is not None
            assert found[0].id == case["top"][0][0], case["image"]


@pytest.mark.parametrize(
    "picture", published_only(["pets.jpg", "dogs.jpg", "cats_and_dogs.jpg", "grace_hopper.bmp", "cat_720p.jpg"])
)
def test_the_detector_finds_the_same_objects_in_the_same_places(assets: Path, picture: str) -> None:
    (case,) = (case for case in cases(assets, "detect", Path(SSD).stem) if case["image"] == picture)
    said = OutputSection(decoder="tflite_detection_postprocess", threshold=case["threshold"])
    found = run(assets, SSD, picture, InputSection(filter="area"), said, task="detect").boxes
    assert found is not None
    assert [box.label for box in found] == [label for label, _, _ in case["boxes_ymin_xmin_ymax_xmax"]]
    for box, (_, score, place) in zip(found, case["boxes_ymin_xmin_ymax_xmax"], strict=True):
        assert box.score == pytest.approx(score, abs=CLOSE)
        assert box.box == pytest.approx(place, abs=CLOSE)


ASTRONAUT = [[0.923, [180 / 512, 82 / 512, 274 / 512, 176 / 512]]]
"""Score and corners, x0 first, of the only face of our photo; a decoder of others found them on a larger copy."""


@pytest.mark.parametrize("filter_name", ["area", "linear"])
@pytest.mark.parametrize(
    "picture", with_published(["astronaut.jpg"], ["grace_hopper.bmp", "astronaut.png", "face.jpg", "cat_720p.jpg"])
)
def test_the_face_detector_finds_the_same_faces(
    catalogue_model: Callable[[str], Path], picture: str, filter_name: Filter
) -> None:
    bare = model(catalogue_model("faces") / "model.tflite")
    section = InputSection(resize="letterbox", filter=filter_name, range=(-1.0, 1.0))
    description = describe(section, OutputSection(decoder="blazeface"))
    steps = build(description, bare.info, WHOLE), find("task", TASKS, "detect")(description, bare.info)
    shown, expected = face_case(picture)
    found = bare.run(*steps, picture_frame(shown)).boxes or ()
    assert len(found) == len(expected)
    for box, (score, (x0, y0, x1, y1)) in zip(found, expected, strict=True):
        assert box.score == pytest.approx(score, abs=CLOSE)
        assert box.box == pytest.approx((y0, x0, y1, x1), abs=CLOSE)


def face_case(picture: str) -> tuple[Array, list[Any]]:  # Any: the answers' own JSON
    """Return a photo and its faces: score and corners, x0 first, as shares of its sides."""
    assets = find_assets()
    if assets is None or (PHOTOS / picture).is_file():
        return decode(PHOTOS / picture), ASTRONAUT
    shown = decode(assets / "images" / picture)
    height, width = shown.shape[:2]
    listed = json.loads((assets / "EXPECTED.json").read_text())["faces (BlazeFace decode, thr .5)"][picture]
    return shown, [(score, (x0 / width, y0 / height, x1 / width, y1 / height)) for score, (x0, y0, x1, y1) in listed]
