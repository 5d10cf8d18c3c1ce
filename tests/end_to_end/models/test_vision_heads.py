"""Models whose right answer follows from the file: `inferd infer` gives it, or refuses in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from fixtures.agents.agent import environment
from fixtures.paths import TESTS

HEADS = TESTS / "tasks" / "models" / "heads"
PIXELS_01 = ("--mean", "0", "--std", "255")
DETECT = ("--task", "detect", "--decoder", "yolov8")


def inferd(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferd", "infer", "--json", *map(str, arguments)]
    return subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=False)


def answer(model: str, *arguments: object) -> dict[str, Any]:  # Any: JSON
    done = inferd(HEADS / f"{model}.tflite", HEADS / "ref.png", *arguments)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def labels_file(folder: Path, *labels: str) -> Path:
    file = folder / "labels.txt"
    file.write_text("\n".join(labels) + "\n")
    return file


def test_an_end_to_end_yolo_head_is_read_as_boxes(tmp_path: Path) -> None:
    labels = labels_file(tmp_path, *(f"c{number}" for number in range(80)))
    boxes = answer("e2e", *DETECT, "--labels", labels, "--resize", "stretch")["boxes"]
    assert [(box["label"], round(box["score"], 3)) for box in boxes] == [("c16", 0.9), ("c15", 0.8)]
    assert boxes[0]["box"] == pytest.approx([0.1, 0.4, 0.7, 0.6], abs=1e-3)
    assert boxes[1]["box"] == pytest.approx([0.6, 0.15, 0.8, 0.25], abs=1e-3)


def test_logits_of_a_yolo_head_are_never_told_as_scores(tmp_path: Path) -> None:
    labels = labels_file(tmp_path, "cat", "dog")
    refused = inferd(HEADS / "two_logits.tflite", HEADS / "ref.png", *DETECT, "--labels", labels)
    assert refused.returncode == 1
    assert "not 0 to 1: say activation" in refused.stderr
    (box,) = answer("two_logits", *DETECT, "--labels", labels, "--activation", "sigmoid")["boxes"]
    assert (box["label"], box["score"]) == ("dog", pytest.approx(0.900, abs=1e-3))


def test_quantised_blazeface_heads_are_read_as_real_numbers() -> None:
    (box,) = answer("bf_i8")["boxes"]
    assert box["score"] == pytest.approx(0.953, abs=1e-3)
    assert box["box"] == pytest.approx([0.417, 0.250, 0.833, 0.562], abs=1e-3)


def test_points_of_a_model_with_channels_first_lie_on_its_sides() -> None:
    points = answer("hand_nchw", "--task", "pose", "--decoder", "landmarks", *PIXELS_01)["keypoints"]
    assert points[0][:2] == pytest.approx([0.25, 0.5], abs=1e-3)


def test_a_class_map_with_channels_first_gives_the_shares_of_the_picture() -> None:
    shares = answer("seg_argmax_1hw", *PIXELS_01)["mask"]["labels"]
    assert shares == pytest.approx({"0": 0.5, "1": 0.25, "2": 0.25})


def test_a_picture_input_with_open_sides_is_refused_in_a_sentence() -> None:
    refused = inferd(HEADS / "dynseg.tflite", HEADS / "ref.png", *PIXELS_01)
    assert refused.returncode == 1
    assert "leaves its height or width open" in refused.stderr


@pytest.mark.parametrize("model", ["bin_sig", "bin_logit"])
def test_one_output_is_both_of_two_classes(model: str, tmp_path: Path) -> None:
    labels = labels_file(tmp_path, "cat", "dog")
    told = answer(model, "--labels", labels, *PIXELS_01)["labels"]
    assert {one["label"] for one in told} == {"cat", "dog"}
    assert sum(one["score"] for one in told) == pytest.approx(1.0)
    assert told[0]["score"] == pytest.approx(0.932, abs=1e-3)


def test_a_picture_input_of_four_channels_is_fed_with_an_opaque_alpha() -> None:
    scores = {one["id"]: one["score"] for one in answer("rgba", *PIXELS_01)["labels"]}
    assert max(scores, key=lambda one: scores[one]) == 3  # the mean of alpha is the largest, 1
