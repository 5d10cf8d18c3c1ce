"""From a sound or a motion to a word, with real models and the real program."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.agents.agent import environment
from fixtures.media.sounds import read_wav, write_wav
from fixtures.media.speech import RATE_HZ, spoken
from fixtures.models.collection import find_assets, published_only
from fixtures.paths import TESTS
from inferd.records import Array

KEYWORDS = """
[model]
task = "classify"
[signal]  # as MLPerf Tiny trained it
rate_hz = 16000
window = 16000
channels = "mix"
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
TOY_CAR = """
[model]
task = "anomaly"
[signal]  # as MLPerf Tiny trained it: five frames of librosa's mels in decibels
rate_hz = 16000
window = 3072
hop = 512
channels = "mix"
features = ["mel"]
frame = 1024
step = 512
power = 2.0
mels = 128
low_hz = 0
mel_scale = "slaney"
log = "db"
log_offset = 2.220446049250313e-16
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


def infer(model: Path, *inputs: object) -> list[dict[str, Any]]:
    """Return what `inferd infer --json` prints."""
    command = [sys.executable, "-m", "inferd", "infer", "--json", str(model), *map(str, inputs)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def best(result: dict[str, Any]) -> str:
    return str(result["labels"][0]["label"])


@pytest.mark.parametrize("kind", published_only(["float", "int8"]))
def test_sounds_become_words(assets: Path, tmp_path: Path, kind: str) -> None:
    model = described(tmp_path, assets / "models" / "audio_sensor" / f"kws_ref_model_{kind}.tflite", KEYWORDS)
    clips = [assets / "audio" / f"{name}_1000ms.wav" for name in ("yes", "silence", "noise", "no")]
    results = infer(model, *clips)
    assert [best(result) for result in results[:3]] == ["yes", "silence", "unknown"]
    # This model itself takes this speaker's "no" for "go": with tf.signal's own features as well (docs/parts.md, Signals).
    assert {label["label"] for label in results[3]["labels"][:2]} == {"go", "no"}


@pytest.mark.parametrize("kind", published_only(["fp32", "int8"]))
def test_a_machine_is_scored_from_a_wav_as_by_librosas_own_features(assets: Path, tmp_path: Path, kind: str) -> None:
    """There is no recording of a ToyCar here: the sound is made, its features are what librosa makes of it."""
    golden = np.load(TESTS / "preprocess/signal/golden/signal.npz")
    clip = write_wav(tmp_path / "machine.wav", np.rint(golden["signal"] * 2.0**30).astype(np.int32))
    model = described(tmp_path, assets / "models" / "audio_sensor" / f"ad01_{kind}.tflite", TOY_CAR)
    halved_db = golden["librosa_db"] - 20 * np.log10(2)  # of half the amplitude: a .wav holds -1..1
    rows = np.stack([halved_db[at : at + 5].ravel() for at in range(3)]).astype(np.float32)
    np.savez(tmp_path / "rows.npz", input_1=rows)
    by_librosa = infer(model, "--input-npz", tmp_path / "rows.npz")
    by_wav = infer(model, clip)
    assert [result["score"] for result in by_wav[:3]] == pytest.approx([one["score"] for one in by_librosa], rel=0.01)


def test_a_studios_stereo_is_heard_as_the_models_own_mono(
    catalogue_model: Callable[[str], Path], tmp_path: Path
) -> None:
    pytest.importorskip("pymicro_features", reason="pip install pymicro-features")
    sound = spoken("yes", silence_s=0.0)
    at = np.arange(44100) * RATE_HZ / 44100
    left = np.interp(at, np.arange(len(sound)), sound, right=0.0)
    clip = write_wav(tmp_path / "yes.wav", np.stack([left, left / 2], axis=1).astype(np.int16), 44100)
    (heard,) = infer(catalogue_model("yes-no"), clip)
    assert best(heard) == "yes"
    assert heard["labels"][0]["score"] > 0.9


def test_a_model_that_tells_its_rate_itself_hears_a_file_of_another(assets: Path, tmp_path: Path) -> None:
    sound, _ = read_wav(assets / "audio" / "speech.wav")
    at = np.arange(len(sound) * 3) / 3
    clip = write_wav(
        tmp_path / "speech.wav", (np.interp(at, np.arange(len(sound)), sound) * 30000).astype(np.int16), 48000
    )
    told = infer(assets / "models" / "audio_sensor" / "yamnet_audio_classifier.tflite", clip)
    assert {best(result) for result in told[:-1]} == {"Speech"}


def motions(file: Path) -> dict[str, Array]:
    """Return the recordings of a .ts file, one behind the other, by what was done: (samples, 6) acceleration and rotation."""
    found: dict[str, list[Array]] = {}
    lines = file.read_text().partition("@data\n")[2].split()
    for line in lines:
        *channels, label = line.split(":")
        found.setdefault(label, []).append(np.array([channel.split(",") for channel in channels], float).T)
    return {label: np.concatenate(series) for label, series in found.items()}


def gestures(folder: Path, file: Path, recordings: dict[str, Array]) -> list[dict[str, Any]]:
    """Return what a gesture model says of recordings, window by window."""
    model = described(folder, file, GESTURES)
    files = []
    for label, samples in recordings.items():
        files.append(folder / f"{label}.csv")
        np.savetxt(files[-1], samples, delimiter=",", header="ax,ay,az,gx,gy,gz", comments="")
    return infer(model, *files)


def test_a_wrist_that_draws_nothing_is_no_gesture(catalogue_model: Callable[[str], Path], tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    gravity = np.array([9.81, 0.0, 0.0, 0.0, 0.0, 0.0])
    rest = {f"rest {number}": gravity + numbers.normal(0, 0.05, (1000, 6)) for number in range(2)}
    results = gestures(tmp_path, catalogue_model("gestures") / "model.tflite", rest)
    assert len(results) == 2 * 15  # 1000 readings, a window every 64, the last one filled up
    assert {len(result["labels"]) for result in results} == {4}
    assert {best(result) for result in results} == {"negative"}
    if assets := find_assets():
        (tmp_path / "recorded").mkdir()
        recorded = motions(assets / "datasets" / "BasicMotions_TEST.ts")
        results = gestures(tmp_path / "recorded", catalogue_model("gestures") / "model.tflite", recorded)
        assert [best(result) for result in results].count("negative") == 58  # of 60: two are taken for a ring
