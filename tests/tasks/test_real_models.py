"""What real models say about real pictures, against answers that were worked out without a line of ours."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fixtures.models.descriptions import BareModel, describe, picture_frame
from inferd.plugins import TASKS, find
from inferd.preprocess import build
from inferd.records import Result
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
SSD = "detect/coco_ssd_mobilenet_v1_quant.tflite"
FACES = "detect/face_detection_short_range.tflite"


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


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers_name_the_same_class_with_the_same_score(assets: Path, name: str) -> None:
    for case in cases(assets, "classify", name):
        found = run(assets, case["model"], case["image"], CLASSIFIERS[name], OutputSection(), task="classify").labels
        assert found is not None
        scores = {label.id: label.score for label in found}
        assert found[0].id == case["top"][0][0], case["image"]
        for index, _, score in case["top"]:
            assert scores[index] == pytest.approx(score, abs=CLOSE), case["image"]


@pytest.mark.parametrize("name", ["mobilenet_v2_1.0_224_quant", "mobilenet_v2_1.0_224_quant_nometa"])
def test_the_quick_filter_names_the_same_class_on_a_robust_model(assets: Path, name: str) -> None:
    for case in cases(assets, "classify", name):
        section = InputSection(filter="linear")
        found = run(assets, case["model"], case["image"], section, OutputSection(), task="classify").labels
        assert found is not None
        assert found[0].id == case["top"][0][0], case["image"]


@pytest.mark.parametrize("picture", ["pets.jpg", "dogs.jpg", "cats_and_dogs.jpg", "grace_hopper.bmp", "cat_720p.jpg"])
def test_the_detector_finds_the_same_objects_in_the_same_places(assets: Path, picture: str) -> None:
    (case,) = (case for case in cases(assets, "detect", Path(SSD).stem) if case["image"] == picture)
    said = OutputSection(decoder="tflite_detection_postprocess", threshold=case["threshold"])
    found = run(assets, SSD, picture, InputSection(filter="area"), said, task="detect").boxes
    assert found is not None
    assert [box.label for box in found] == [label for label, _, _ in case["boxes_ymin_xmin_ymax_xmax"]]
    for box, (_, score, place) in zip(found, case["boxes_ymin_xmin_ymax_xmax"], strict=True):
        assert box.score == pytest.approx(score, abs=CLOSE)
        assert box.box == pytest.approx(place, abs=CLOSE)


@pytest.mark.parametrize("picture", ["grace_hopper.bmp", "astronaut.png", "face.jpg", "cat_720p.jpg"])
@pytest.mark.parametrize("filter_name", ["area", "linear"])
def test_the_face_detector_finds_the_same_faces(assets: Path, picture: str, filter_name: Filter) -> None:
    expected = json.loads((assets / "EXPECTED.json").read_text())["faces (BlazeFace decode, thr .5)"][picture]
    section = InputSection(resize="letterbox", filter=filter_name, range=(-1.0, 1.0))
    found = run(assets, FACES, picture, section, OutputSection(decoder="blazeface"), task="detect").boxes
    height, width = decode(assets / "images" / picture).shape[:2]
    assert found is not None
    assert len(found) == len(expected)
    for box, (score, (x0, y0, x1, y1)) in zip(found, expected, strict=True):
        assert box.score == pytest.approx(score, abs=CLOSE)
        assert box.box == pytest.approx((y0 / height, x0 / width, y1 / height, x1 / width), abs=CLOSE)
