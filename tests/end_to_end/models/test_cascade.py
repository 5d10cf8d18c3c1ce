"""A detector and a classifier in a row: what the first finds, the second looks at closer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fixtures.agents.agent import environment, program

CONFIG = """
state_dir = "{state}"
[mqtt]
enabled = false
[[pipeline]]
name = "animals"
model = "{assets}/models/detect/coco_ssd_mobilenet_v1_quant.tflite"
source = {{kind = "images", path = "{pictures}"}}
pace = {{mode = "fixed", fps = 1.0}}
report = {{max_per_s = 0}}
[[pipeline]]
name = "closer"
model = "{assets}/models/classify/resnet8_cifar10_int8.tflite"
source = {{kind = "crops", of = "{of}", labels = ["cat", "dog"], min_score = 0.6}}
report = {{max_per_s = 0}}
[pipeline.overrides]
labels = "{labels}"
"""
CIFAR = "airplane automobile bird cat deer dog frog horse ship truck"


def run(folder: Path, assets: Path, of: str = "animals") -> subprocess.CompletedProcess[str]:
    pictures = folder / "pictures"
    pictures.mkdir()
    for number, name in enumerate(("cat_720p.jpg", "cat_720p.jpg", "cat_720p.jpg", "dogs.jpg")):
        (pictures / f"{number}.jpg").symlink_to(assets / "images" / name)
    (folder / "labels.txt").write_text("\n".join(CIFAR.split()))
    config = CONFIG.format(
        state=folder / "state", assets=assets, pictures=pictures, of=of, labels=folder / "labels.txt"
    )
    (folder / "inferd.toml").write_text(config)
    command = [sys.executable, "-m", "inferd", "run", "--print", "--until-end", "--config", str(folder / "inferd.toml")]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.slow
def test_each_animal_that_is_found_is_looked_at_closer(assets: Path, tmp_path: Path) -> None:
    done = run(tmp_path, assets)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    closer = [one for one in told if one.get("pipeline") == "closer" and "labels" in one]
    found = [(one["crop"]["label"], one["labels"][0]["label"]) for one in closer]
    counts = Counter(label for label, _ in found)
    assert counts["dog"] == 2
    assert counts["cat"] >= 1  # the second model may still be loading while the first looks at the first pictures
    assert ("cat", "cat") in found
    assert ("dog", "dog") in found


JOINED = """
[mqtt]
enabled = false
[[pipeline]]
name = "{finds}"
model = "{assets}/models/detect/{finder}"
source = {{kind = "images", path = "{pictures}"}}
pace = {{mode = "fixed", fps = 2.0, at_end = "loop"}}
report = {{max_per_s = 0}}
overrides = {{threshold = 0.5}}
[[pipeline]]
name = "closer"
model = "{assets}/models/classify/mobilenet_v2_1.0_224_quant.tflite"
source = {{kind = "crops", of = "{finds}", join_s = 5.0}}
report = {{when = "never"}}
"""

SILENT = """
state_dir = "{state}"
[mqtt]
enabled = false
[[pipeline]]
name = "first"
model = "{assets}/models/detect/coco_ssd_mobilenet_v1_quant.tflite"
source = {{kind = "images", path = "{assets}/images/pets.jpg", fps = 1.0}}
report = {{max_per_s = 0}}
[[pipeline]]
name = "closer"
model = "fake"
engine = {{kind = "fake", fake = {{invoke_ms = 2000, input_shape = [1, 8, 8, 3]}}}}
source = {{kind = "crops", of = "first", join_s = 0.2}}
"""


Seen = dict[str, list[tuple[str, str]]]


def joined(folder: Path, assets: Path, finder: str, *pictures: str) -> Seen:
    """Run a cascade on pictures, again and again; return what was found in each, and what the second model says of it.

    The second model is loaded later than the first: the first results may be without it.
    """
    shown = folder / "pictures"
    shown.mkdir()
    for name in pictures:
        (shown / name).symlink_to(assets / "images" / name)
    seen: Seen = {}
    config = JOINED.format(assets=assets, pictures=shown, finds="first", finder=finder)
    with program(folder, config) as running:
        for result in (running.result() for _ in range(60)):
            assert result["pipeline"] == "first"  # the second tells nothing by itself
            found = [
                (box["label"], box.get("closer", {}).get("closer", {}).get("label", "")) for box in result["boxes"]
            ]
            if all(closer for _, closer in found):
                seen[Path(result["input"]).name] = found
            if len(seen) == len(pictures):
                break
    return seen


def test_one_result_says_what_was_found_and_what_the_second_model_sees_in_it(assets: Path, tmp_path: Path) -> None:
    seen = joined(tmp_path, assets, "coco_ssd_mobilenet_v1_quant.tflite", "pets.jpg", "dogs.jpg")
    assert seen["pets.jpg"] == [("dog", "Italian greyhound"), ("dog", "Boston bull, Boston terrier")]
    assert {breed for _, breed in seen["dogs.jpg"]} == {"Tibetan terrier, chrysanthemum dog"}


def test_faces_are_looked_at_closer_in_one_result(assets: Path, tmp_path: Path) -> None:
    seen = joined(tmp_path, assets, "face_detection_short_range.tflite", "face.jpg", "grace_hopper.bmp")
    assert {name: [label for label, _ in faces] for name, faces in seen.items()} == {
        "face.jpg": ["face", "face"],
        "grace_hopper.bmp": ["face"],
    }


def test_a_second_model_that_answers_too_late_holds_no_result_up(assets: Path, tmp_path: Path) -> None:
    (tmp_path / "inferd.toml").write_text(SILENT.format(state=tmp_path / "state", assets=assets))
    command = [
        sys.executable,
        "-m",
        "inferd",
        "run",
        "--print",
        "--until-end",
        "--config",
        str(tmp_path / "inferd.toml"),
    ]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    results = [one for one in told if one.get("pipeline") == "first" and "boxes" in one]
    assert results
    assert not [box for one in results for box in one["boxes"] if "closer" in box]


def test_infer_has_a_second_model_look_at_each_object(assets: Path) -> None:
    models = assets / "models"
    command = [sys.executable, "-m", "inferd", "infer", "--json", "--threshold", "0.5"]
    command += [str(models / "detect/coco_ssd_mobilenet_v1_quant.tflite"), str(assets / "images/pets.jpg")]
    command += ["--closer", str(models / "classify/mobilenet_v2_1.0_224_quant.tflite")]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    seen = [label["label"] for box in json.loads(done.stdout)["boxes"] for label in box["closer"].values()]
    assert seen == ["Italian greyhound", "Boston bull, Boston terrier"]


def test_crops_of_a_pipeline_that_is_not_there_are_a_configuration_error(assets: Path, tmp_path: Path) -> None:
    done = run(tmp_path, assets, of="animal")
    assert done.returncode == 78
    assert "its crops are of 'animal', but there is no such pipeline" in done.stderr


def test_crops_of_itself_are_a_configuration_error(assets: Path, tmp_path: Path) -> None:
    done = run(tmp_path, assets, of="closer")
    assert done.returncode == 78
    assert "come from itself in the end" in done.stderr
