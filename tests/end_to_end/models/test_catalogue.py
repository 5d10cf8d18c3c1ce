"""Fetching real models from a real index, and what they say with our manifests."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from fixtures.agents.agent import environment
from fixtures.media.speech import say
from fixtures.models.collection import find_assets, with_published
from fixtures.paths import PHOTOS
from inferd.catalogue.entries import find_entry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def inferd(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferd", *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200, check=False)


Fetch = Callable[[str], Path]
RECORDED = {"yes": "yes", "no": "no", "silence": "silence", "noise": "unknown"}


def photo(name: str) -> Path:
    """Return a photo of ours, or of the assets."""
    assets = find_assets()
    return PHOTOS / name if assets is None or (PHOTOS / name).is_file() else assets / "images" / name


def infer(model: Path, *arguments: object) -> list[dict[str, Any]]:
    done = inferd("infer", "--json", model, *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_faces_are_found_without_a_flag(catalogue_model: Fetch) -> None:
    (told,) = infer(catalogue_model("faces"), PHOTOS / "astronaut.jpg")
    assert [box["label"] for box in told["boxes"]] == ["face"]
    box = told["boxes"][0]  # as a decoder of others found it on the larger photo
    assert [box["score"], *box["box"]] == pytest.approx([0.923, 82 / 512, 180 / 512, 176 / 512, 274 / 512], abs=0.02)


def test_everyday_objects_are_found_without_a_flag(assets: Path, tmp_path: Path) -> None:
    """The file that the entry fetches, by its digest, with the entry's manifest."""
    entry, file = find_entry("everyday-objects"), assets / "models/detect/coco_ssd_mobilenet_v1_quant.tflite"
    assert hashlib.sha256(file.read_bytes()).hexdigest() == entry.sha256
    (tmp_path / "everyday-objects.tflite").write_bytes(file.read_bytes())
    (tmp_path / "everyday-objects.toml").write_text(entry.manifest)
    pictures = [assets / "images" / name for name in ("pets.jpg", "grace_hopper.bmp", "cat_720p.jpg")]
    told = infer(tmp_path / "everyday-objects.tflite", *pictures)
    assert [[box["label"] for box in one["boxes"]] for one in told] == [["dog", "dog"], ["person", "tie"], ["cat"]]


def test_a_person_is_cut_out_without_a_flag(catalogue_model: Fetch) -> None:
    person, cup = infer(catalogue_model("selfie-segmentation"), PHOTOS / "astronaut.jpg", PHOTOS / "coffee.jpg")
    assert person["mask"]["labels"]["person"] > 0.4
    assert cup["mask"]["labels"].get("person", 0.0) < 0.3


@pytest.mark.parametrize(
    ("picture", "nose"),  # where the face detector has it, and as MoveNet's reference has it
    with_published([("astronaut.jpg", (0.24, 0.44))], [("squat.bmp", (0.332, 0.589))]),
)
def test_a_body_has_39_points_without_a_flag(catalogue_model: Fetch, picture: str, nose: tuple[float, float]) -> None:
    (told,) = infer(catalogue_model("pose-landmarks"), photo(picture))
    assert len(told["keypoints"]) == 39
    assert told["score"] > 0.9
    assert told["keypoints"][0][:2] == pytest.approx(nose, abs=0.03)


def test_a_hand_has_21_points_without_a_flag_and_a_cup_is_no_hand(
    assets: Path, catalogue_model: Fetch, tmp_path: Path
) -> None:
    athlete = cv2.imread(str(assets / "images/squat.bmp"))
    assert athlete is not None
    cv2.imwrite(str(tmp_path / "hand.png"), cv2.resize(athlete[198:298, 264:364], (224, 224)))
    hand, cup = infer(catalogue_model("hand-landmarks"), tmp_path / "hand.png", assets / "images/coffee.png")
    assert len(hand["keypoints"]) == 21
    assert hand["score"] > 0.9
    assert cup["score"] < 0.5
    wrist, thumb = hand["keypoints"][0], hand["keypoints"][4]
    assert wrist[:2] == pytest.approx((0.63, 0.63), abs=0.06)  # by eye, as the thumb's tip
    assert thumb[:2] == pytest.approx((0.43, 0.44), abs=0.06)


@pytest.mark.parametrize(
    ("picture", "label"),
    with_published(
        [("astronaut.jpg", "person"), ("coffee.jpg", "no person")],
        [("grace_hopper.bmp", "person"), ("cat_720p.jpg", "no person")],
    ),
)
def test_people_are_told_from_none_without_a_flag(catalogue_model: Fetch, picture: str, label: str) -> None:
    (told,) = infer(catalogue_model("person-or-not"), photo(picture))
    assert told["labels"][0]["label"] == label


@pytest.mark.parametrize(
    ("picture", "animal"),
    with_published([("chelsea.jpg", "cat")], [("cat_720p.jpg", "cat"), ("dogs.jpg", "dog"), ("bird.bmp", "bird")]),
)
def test_animals_are_told_apart_without_a_flag(catalogue_model: Fetch, picture: str, animal: str) -> None:
    (told,) = infer(catalogue_model("cifar10"), photo(picture))
    assert told["labels"][0]["label"] == animal


@pytest.mark.parametrize(
    ("clip", "word"),
    with_published(
        [("yes", "yes"), ("no", "no"), ("hello world", "unknown")],
        [(f"{name}_1000ms.wav", word) for name, word in RECORDED.items()],
    ),
)
def test_yes_and_no_are_heard_as_what_they_are(catalogue_model: Fetch, tmp_path: Path, clip: str, word: str) -> None:
    pytest.importorskip("pymicro_features", reason="pip install pymicro-features")
    assets = find_assets()
    if assets is not None and clip.endswith(".wav"):
        file = assets / "audio" / clip
    else:
        file = say(clip, tmp_path / "said.wav", silence_s=0.0)
    (told,) = infer(catalogue_model("yes-no"), file)
    assert told["labels"][0]["label"] == word
    assert told["labels"][0]["score"] > (0.4 if word == "unknown" else 0.9)


@pytest.mark.parametrize("name", ["okay-nabu", "alexa", "hey-mycroft"])
def test_a_wake_word_is_heard_and_another_is_not(catalogue_model: Fetch, tmp_path: Path, name: str) -> None:
    pytest.importorskip("pymicro_features", reason="pip install pymicro-features")
    word = name.replace("-", " ")
    phrases = {word: f"{word} (en-us)" if word == "okay nabu" else word, "computer": "computer"}
    files = [say(phrase, tmp_path / f"{text}.wav") for text, phrase in phrases.items()]
    told = infer(catalogue_model(name), *files)
    heard = {Path(one["input"].partition("#")[0]).stem for one in told if one["labels"]}
    assert heard == {word}


@pytest.mark.parametrize("name", ["gestures", "hey-jarvis"])
def test_every_other_entry_is_fetched_and_lacks_nothing(catalogue_model: Fetch, name: str) -> None:
    shown = json.loads(inferd("models", "show", "--json", catalogue_model(name)).stdout)
    assert shown["refused"] is None
    assert shown["description"]["missing"] == []


def test_the_list_names_them_all() -> None:
    listed = inferd("models", "list", "--catalogue").stdout
    assert "faces" in listed
    assert "Apache-2.0" in listed
