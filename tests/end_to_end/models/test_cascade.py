"""A detector and a classifier in a row: what the first finds, the second looks at closer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from fixtures.agents.agent import environment, program
from fixtures.models.finder import write_finder, write_pictures
from fixtures.paths import PHOTOS
from inferd.bundled_files import bundled

pytestmark = pytest.mark.slow

CONFIG = """
state_dir = "{state}"
[mqtt]
enabled = false
[[pipeline]]
name = "digits"
model = "{finder}"
source = {{kind = "images", path = "{pictures}"}}
pace = {{mode = "fixed", fps = 1.0}}
report = {{max_per_s = 0}}
[[pipeline]]
name = "closer"
model = "{reader}"
source = {{kind = "crops", of = "{of}", labels = ["digit"], min_score = 0.6}}
report = {{max_per_s = 0}}
"""
PICTURES = {
    "0": {(0, 0): "2"},
    "1": {(1, 1): "2"},
    "2": {(1, 2): "2"},
    "3": {(0, 1): "5", (2, 3): "1"},
}


def run(folder: Path, of: str = "digits") -> subprocess.CompletedProcess[str]:
    config = CONFIG.format(
        state=folder / "state",
        finder=write_finder(folder),
        reader=bundled("digits"),
        pictures=write_pictures(folder / "pictures", PICTURES),
        of=of,
    )
    return run_to_the_end(folder, config)


def run_to_the_end(folder: Path, config: str) -> subprocess.CompletedProcess[str]:
    file = folder / "inferd.toml"
    file.write_text(config)
    command = [sys.executable, "-m", "inferd", "run", "--print", "--until-end", "--config", str(file)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=False)


def test_each_object_that_is_found_is_looked_at_closer(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    closer = [one for one in printed if one.get("pipeline") == "closer" and "labels" in one]
    assert {one["crop"]["label"] for one in closer} == {"digit"}
    counts = Counter(one["labels"][0]["label"] for one in closer)
    assert (counts["5"], counts["1"]) == (1, 1)
    assert counts["2"] >= 1  # the second model may still be loading while the first looks at the first pictures
    assert set(counts) == {"1", "2", "5"}


JOINED = """
[mqtt]
enabled = false
[[pipeline]]
name = "first"
model = "{finder}"
source = {{kind = "images", path = "{pictures}"}}
pace = {{mode = "fixed", fps = 2.0, at_end = "loop"}}
report = {{max_per_s = 0}}
overrides = {{threshold = 0.5}}
[[pipeline]]
name = "closer"
model = "{classifier}"
source = {{kind = "crops", of = "first", join_s = 5.0}}
report = {{when = "never"}}
"""
SILENT = """
state_dir = "{state}"
[mqtt]
enabled = false
[[pipeline]]
name = "first"
model = "{finder}"
source = {{kind = "images", path = "{picture}", fps = 1.0}}
report = {{max_per_s = 0}}
[[pipeline]]
name = "closer"
model = "fake"
engine = {{kind = "fake", fake = {{invoke_ms = 2000, input_shape = [1, 8, 8, 3]}}}}
source = {{kind = "crops", of = "first", join_s = 0.2}}
"""
Seen = dict[str, list[tuple[str, str]]]


def joined(folder: Path, finder: Path, second: Path, pictures: Path, count: int) -> Seen:
    """Run a cascade on pictures, again and again; return what was found in each, and what the second model says of it.

    The second model is loaded later than the first: the first results may be without it.
    """
    seen: Seen = {}
    with program(folder, JOINED.format(pictures=pictures, finder=finder, classifier=second)) as running:
        for result in (running.result() for _ in range(60)):
            assert result["pipeline"] == "first"  # the second publishes nothing by itself
            found = [(box["label"], closer_label(box)) for box in result["boxes"]]
            if all(closer for _, closer in found):
                seen[Path(result["input"]).name] = found
            if len(seen) == count:
                break
    return seen


def closer_label(box: Mapping[str, Any]) -> str:
    return str(box.get("closer", {}).get("closer", {}).get("label", ""))


def linked(folder: Path, assets: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        (folder / name).symlink_to(assets / "images" / name)
    return folder


def test_one_result_says_what_was_found_and_what_the_second_model_sees_in_it(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", {"one": {(1, 1): "3"}, "two": {(0, 1): "5", (2, 3): "1"}})
    seen = joined(tmp_path, write_finder(tmp_path), bundled("digits"), pictures, 2)
    assert seen["one.png"] == [("digit", "3")]
    assert sorted(seen["two.png"]) == [("digit", "1"), ("digit", "5")]


def test_the_breed_of_each_dog_stands_in_the_result_that_found_it(assets: Path, tmp_path: Path) -> None:
    pictures = linked(tmp_path / "pictures", assets, "pets.jpg", "dogs.jpg")
    ssd, names = "detect/coco_ssd_mobilenet_v1_quant", "classify/mobilenet_v2_1.0_224_quant"
    first, second = (assets / "models" / f"{name}.tflite" for name in (ssd, names))
    seen = joined(tmp_path, first, second, pictures, 2)
    assert seen["pets.jpg"] == [("dog", "Italian greyhound"), ("dog", "Boston bull, Boston terrier")]
    assert {breed for _, breed in seen["dogs.jpg"]} == {"Tibetan terrier, chrysanthemum dog"}


def test_infer_has_a_second_model_look_at_each_face(catalogue_model: Callable[[str], Path]) -> None:
    faces, kinds = catalogue_model("faces"), catalogue_model("person-or-not")
    assert infer_closer(faces, kinds, PHOTOS / "astronaut.jpg") == ["person"]


def test_several_faces_are_looked_at_closer_in_one_result(assets: Path, tmp_path: Path) -> None:
    pictures = linked(tmp_path / "pictures", assets, "face.jpg", "grace_hopper.bmp")
    faces, names = "detect/face_detection_short_range", "classify/mobilenet_v2_1.0_224_quant"
    first, second = (assets / "models" / f"{name}.tflite" for name in (faces, names))
    seen = joined(tmp_path, first, second, pictures, 2)
    assert {name: [label for label, _ in found] for name, found in seen.items()} == {
        "face.jpg": ["face", "face"],
        "grace_hopper.bmp": ["face"],
    }


def test_a_second_model_that_answers_too_late_holds_no_result_up(tmp_path: Path) -> None:
    picture = write_pictures(tmp_path / "pictures", {"one": {(1, 1): "3"}}) / "one.png"
    config = SILENT.format(state=tmp_path / "state", finder=write_finder(tmp_path), picture=picture)
    done = run_to_the_end(tmp_path, config)
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    results = [one for one in printed if one.get("pipeline") == "first" and "boxes" in one]
    assert results
    assert all(one["boxes"] for one in results)
    assert not [box for one in results for box in one["boxes"] if "closer" in box]


def infer_closer(finder: Path, second: Path, picture: Path) -> list[str]:
    """Return what `inferd infer --closer` says of each object, best object first."""
    command = [sys.executable, "-m", "inferd", "infer", "--json", "--threshold", "0.5", str(finder), str(picture)]
    command += ["--closer", str(second)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    return [label["label"] for box in json.loads(done.stdout)["boxes"] for label in box["closer"].values()]


def test_infer_has_a_second_model_look_at_each_object(tmp_path: Path) -> None:
    pictures = write_pictures(tmp_path / "pictures", {"two": {(0, 1): "5", (2, 3): "1"}})
    assert sorted(infer_closer(write_finder(tmp_path), bundled("digits"), pictures / "two.png")) == ["1", "5"]


def test_infer_has_a_second_model_look_at_each_dog(assets: Path) -> None:
    models = assets / "models"
    ssd, names = (
        models / "detect/coco_ssd_mobilenet_v1_quant.tflite",
        models / "classify/mobilenet_v2_1.0_224_quant.tflite",
    )
    seen = infer_closer(ssd, names, assets / "images/pets.jpg")
    assert seen == ["Italian greyhound", "Boston bull, Boston terrier"]


def test_crops_of_a_pipeline_that_is_not_there_are_a_configuration_error(tmp_path: Path) -> None:
    done = run(tmp_path, of="animal")
    assert done.returncode == 78
    assert "its crops are of 'animal', but there is no such pipeline" in done.stderr


def test_crops_of_itself_are_a_configuration_error(tmp_path: Path) -> None:
    done = run(tmp_path, of="closer")
    assert done.returncode == 78
    assert "come from itself in the end" in done.stderr
