"""Fetching real models from a real index, and what they say with our manifests."""

from __future__ import annotations

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
from fixtures.paths import PHOTOS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def inferd(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferd", *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=200, check=False)


Fetch = Callable[[str], Path]


def infer(model: Path, *arguments: object) -> list[dict[str, Any]]:
    done = inferd("infer", "--json", model, *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_faces_are_found_without_a_flag(catalogue_model: Fetch) -> None:
    (told,) = infer(catalogue_model("faces"), PHOTOS / "astronaut.jpg")
    assert [box["label"] for box in told["boxes"]] == ["face"]
    assert told["boxes"][0]["box"] == pytest.approx((0.15, 0.35, 0.35, 0.55), abs=0.06)  # by eye


def test_a_person_is_cut_out_without_a_flag(catalogue_model: Fetch) -> None:
    person, cup = infer(catalogue_model("selfie-segmentation"), PHOTOS / "astronaut.jpg", PHOTOS / "coffee.jpg")
    assert person["mask"]["labels"]["person"] > 0.4
    assert cup["mask"]["labels"].get("person", 0.0) < 0.3


def test_a_body_has_39_points_without_a_flag(assets: Path, catalogue_model: Fetch) -> None:
    (told,) = infer(catalogue_model("pose-landmarks"), assets / "images/squat.bmp")
    assert len(told["keypoints"]) == 39
    assert told["score"] > 0.9
    nose = told["keypoints"][0]
    assert nose[:2] == pytest.approx((0.332, 0.589), abs=0.03)  # as MoveNet's reference has it


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


def test_people_are_told_from_none_without_a_flag(catalogue_model: Fetch) -> None:
    pictures = [PHOTOS / f"{name}.jpg" for name in ("astronaut", "coffee", "chelsea")]
    told = infer(catalogue_model("person-or-not"), *pictures)
    assert [one["labels"][0]["label"] for one in told] == ["person", "no person", "no person"]


def test_a_cat_is_named_without_a_flag(catalogue_model: Fetch) -> None:
    (told,) = infer(catalogue_model("cifar10"), PHOTOS / "chelsea.jpg")
    assert told["labels"][0]["label"] == "cat"


def test_more_photos_are_named_without_a_flag(assets: Path, catalogue_model: Fetch) -> None:
    pictures = [assets / "images" / name for name in ("cat_720p.jpg", "dogs.jpg", "bird.bmp")]
    told = infer(catalogue_model("cifar10"), *pictures)
    assert [one["labels"][0]["label"] for one in told] == ["cat", "dog", "bird"]
    pictures = [assets / "images" / name for name in ("grace_hopper.bmp", "cat_720p.jpg")]
    told = infer(catalogue_model("person-or-not"), *pictures)
    assert [one["labels"][0]["label"] for one in told] == ["person", "no person"]


def test_yes_and_no_are_heard_as_what_they_are(catalogue_model: Fetch, tmp_path: Path) -> None:
    pytest.importorskip("pymicro_features", reason="pip install 'inferd[wakeword]'")
    files = [say(word, tmp_path / f"{word}.wav", silence_s=0.0) for word in ("yes", "no", "hello world")]
    told = infer(catalogue_model("yes-no"), *files)
    assert [one["labels"][0]["label"] for one in told] == ["yes", "no", "unknown"]
    assert min(one["labels"][0]["score"] for one in told[:2]) > 0.9


def test_yes_and_no_of_a_recorded_voice_are_heard(assets: Path, catalogue_model: Fetch) -> None:
    pytest.importorskip("pymicro_features", reason="pip install 'inferd[wakeword]'")
    model = catalogue_model("yes-no")
    told = infer(model, *(assets / f"audio/{name}_1000ms.wav" for name in ("yes", "no", "silence", "noise")))
    assert [one["labels"][0]["label"] for one in told] == ["yes", "no", "silence", "unknown"]
    assert min(one["labels"][0]["score"] for one in told[:3]) > 0.9


@pytest.mark.parametrize("name", ["okay-nabu", "alexa", "hey-mycroft"])
def test_a_wake_word_is_heard_and_another_is_not(catalogue_model: Fetch, tmp_path: Path, name: str) -> None:
    pytest.importorskip("pymicro_features", reason="pip install 'inferd[wakeword]'")
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
