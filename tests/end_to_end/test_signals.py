"""From a sound or a motion to a word, with real models and the real program."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.agent import environment
from inferd.records import Array

KEYWORDS = """
[model]
task = "classify"
[signal]  # as MLPerf Tiny trained it
rate_hz = 16000
window = 16000
scale = "peak"
features = ["mfcc"]
frame = 480
step = 320
mels = 40
low_hz = 20
high_hz = 4000
coefficients = 10
[output]
labels = ["down", "go", "left", "no", "off", "on", "right", "stop", "up", "yes", "silence", "unknown"]
"""
GESTURES = """
[model]
task = "classify"
[signal]
window = 128
hop = 64
channels = [0, 1, 2]
mean = [0.0]
std = [0.00980665]  # it was trained on milli-g
[output]
labels = ["wing", "ring", "slope", "negative"]
"""


def described(folder: Path, model: Path, manifest: str) -> Path:
    """Put a model beside a manifest of ours."""
    (folder / "model.tflite").symlink_to(model)
    (folder / "model.toml").write_text(manifest)
    return folder


def infer(model: Path, *inputs: Path) -> list[dict[str, Any]]:
    """Return what `inferd infer --json` prints."""
    command = [sys.executable, "-m", "inferd", "infer", "--json", str(model), *map(str, inputs)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def best(result: dict[str, Any]) -> str:
    return str(result["labels"][0]["label"])


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_sounds_become_words(assets: Path, tmp_path: Path, kind: str) -> None:
    model = described(tmp_path, assets / "models" / "audio_sensor" / f"kws_ref_model_{kind}.tflite", KEYWORDS)
    clips = [assets / "audio" / f"{name}_1000ms.wav" for name in ("yes", "silence", "noise", "no")]
    results = infer(model, *clips)
    assert [best(result) for result in results[:3]] == ["yes", "silence", "unknown"]
    # This model itself takes this speaker's "no" for "go": with tf.signal's own features as well (docs/parts.md, Signals).
    assert {label["label"] for label in results[3]["labels"][:2]} == {"go", "no"}


def motions(file: Path) -> dict[str, Array]:
    """Return the recordings of a .ts file, one behind the other, by what was done: (samples, 6) acceleration and rotation."""
    found: dict[str, list[Array]] = {}
    lines = file.read_text().partition("@data\n")[2].split()
    for line in lines:
        *channels, label = line.split(":")
        found.setdefault(label, []).append(np.array([channel.split(",") for channel in channels], float).T)
    return {label: np.concatenate(series) for label, series in found.items()}


def test_motions_of_a_wrist_go_through_a_gesture_model(assets: Path, tmp_path: Path) -> None:
    model = described(tmp_path, assets / "models" / "audio_sensor" / "magic_wand_accel.tflite", GESTURES)
    files = []
    for label, samples in motions(assets / "datasets" / "BasicMotions_TEST.ts").items():
        files.append(tmp_path / f"{label}.csv")
        np.savetxt(files[-1], samples, delimiter=",", header="ax,ay,az,gx,gy,gz", comments="")
    results = infer(model, *files)
    assert len(results) == 4 * 15  # 1000 readings, a window every 64, the last one filled up
    assert {len(result["labels"]) for result in results} == {4}
    assert [best(result) for result in results].count(
        "negative"
    ) == 58  # nobody drew a gesture; two are taken for a ring
