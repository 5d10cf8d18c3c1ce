"""One photo through TensorFlow Lite and through the same model's ONNX conversion: the same answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from fixtures.agents.agent import environment
from fixtures.paths import PROJECT

pytest.importorskip("onnxruntime", reason="there is no onnxruntime; pip install onnxruntime")
pytestmark = pytest.mark.slow

DIGITS = PROJECT / "models" / "digits"
CONVERTED = PROJECT / "tests" / "runtime" / "models" / "digits.onnx"
TOLERANCE = 0.02
FLOAT = "mobilenet_v1_0.25_224_float"


def scores(model: Path, *arguments: object) -> list[dict[int, float]]:
    """Return the scores by class id of each picture, best first, that `inferd infer` prints."""
    command = [sys.executable, "-m", "inferd", "infer", "--json", str(model), *map(str, arguments)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    return [{label["id"]: label["score"] for label in answer["labels"]} for answer in answers]


def agree(one: dict[int, float], other: dict[int, float]) -> bool:
    """Whether the same class is first, and no score that both name differs by more than the tolerance."""
    same_first = next(iter(one)) == next(iter(other))
    return same_first and all(abs(one[index] - other[index]) <= TOLERANCE for index in one.keys() & other.keys())


def test_a_digit_is_read_the_same_by_tflite_and_onnx(tmp_path: Path) -> None:
    bundle = tmp_path / "digits"
    bundle.mkdir()
    (bundle / "model.onnx").write_bytes(CONVERTED.read_bytes())
    for name in ("model.toml", "labels.txt", "golden.npz"):
        (bundle / name).write_bytes((DIGITS / name).read_bytes())
    pictures = np.load(DIGITS / "golden.npz")["picture"][:8]
    files = [tmp_path / f"{index}.png" for index in range(len(pictures))]
    for file, picture in zip(files, pictures, strict=True):
        cv2.imwrite(str(file), picture)
    assert all(map(agree, scores(DIGITS, *files), scores(bundle, *files)))


def test_photos_are_classified_the_same_by_tflite_and_onnx(assets: Path, tmp_path: Path) -> None:
    python = os.environ.get("INFERD_TF2ONNX")
    if not python:
        pytest.skip("nothing converts: set INFERD_TF2ONNX to a Python that has tf2onnx and TensorFlow")
    source, converted = assets / "models" / "classify" / f"{FLOAT}.tflite", tmp_path / f"{FLOAT}.onnx"
    command = [python, "-m", "tf2onnx.convert", "--tflite", str(source), "--output", str(converted), "--opset", "13"]
    subprocess.run(command, check=True, capture_output=True, timeout=55)
    photos = [assets / "images" / name for name in ("parrot.jpg", "cat_720p.jpg", "bird.bmp", "hot_dog.jpg")]
    said = ("--mean", "127.5", "--std", "127.5")
    assert all(map(agree, scores(source, *said, *photos), scores(converted, *said, *photos)))
