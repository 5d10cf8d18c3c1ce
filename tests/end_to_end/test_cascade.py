"""A detector and a classifier in a row: what the first finds, the second looks at closer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fixtures.agent import environment

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


def test_crops_of_a_pipeline_that_is_not_there_are_a_configuration_error(assets: Path, tmp_path: Path) -> None:
    done = run(tmp_path, assets, of="animal")
    assert done.returncode == 78
    assert "its crops are of 'animal', but there is no such pipeline" in done.stderr


def test_crops_of_itself_are_a_configuration_error(assets: Path, tmp_path: Path) -> None:
    done = run(tmp_path, assets, of="closer")
    assert done.returncode == 78
    assert "come from itself in the end" in done.stderr
