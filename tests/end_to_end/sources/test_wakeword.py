"""From sound to a wake word: files, a live program, and what becomes of it where the sound is torn."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import wave
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.agents.agent import Whole, environment, run_whole
from fixtures.media.sounds import read_wav, tone, write_wav
from fixtures.media.speech import RATE_HZ, Speaker
from inferd.catalogue.entries import find_entry
from inferd.config import settings
from inferd.config.settings import Overrides
from inferd.pipeline import Steps, build_steps, tick
from inferd.records import Array, Frame
from inferd.runtime.litert import LiteRt
from inferd.store.description.describe import describe
from inferd.system.clock import SystemClock

pytestmark = pytest.mark.slow
WORD = "okay nabu"
EACH = settings.ReportConfig(when="change", hold=1, window=1)
PAUSE = np.zeros(RATE_HZ, np.int16)
SPEAKING = """
import sys, time
data = open(sys.argv[1], "rb").read()
block = 22050 * 2 // 50  # 20 ms
for at in range(0, len(data), block):
    sys.stdout.buffer.write(data[at : at + block])
    sys.stdout.buffer.flush()
    time.sleep(0.02)
"""


@pytest.fixture
def model(assets: Path, tmp_path: Path) -> Path:
    """Return the wake word as the catalogue places it."""
    pytest.importorskip("pymicro_features", reason="pip install 'inferd[wakeword]'")
    folder = tmp_path / WORD.replace(" ", "-")
    folder.mkdir()
    (folder / "model.tflite").symlink_to(assets / "models" / "audio_sensor" / "okay_nabu.tflite")
    (folder / "model.toml").write_text(find_entry("okay-nabu").manifest)
    return folder


def spoken(speaker: Speaker, folder: Path, text: str = WORD) -> Array:
    """Return what is said, with a second of silence on both sides: (n,) int16."""
    with wave.open(str(speaker.say(text, folder / "said.wav"))) as file:
        said = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return np.concatenate([PAUSE, said, PAUSE])


def heard(model: Path, *files: Path) -> dict[str, list[str]]:
    """Return what `inferd infer` hears in each file, window by window: the word, or nothing."""
    command = [sys.executable, "-m", "inferd", "infer", "--json", str(model), *map(str, files)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = {}
    for line in map(json.loads, done.stdout.splitlines()):
        labels = [label["label"] for label in line["labels"]]
        found.setdefault(Path(line["input"].partition("#")[0]).stem, []).append("".join(labels))
    return found


@pytest.mark.parametrize("voice", ["en-us", "en-gb", "en-029"])
def test_the_word_is_heard_in_a_file_of_another_rate(model: Path, speaker: Speaker, tmp_path: Path, voice: str) -> None:
    found = heard(model, speaker.say(WORD, tmp_path / "said.wav", voice))
    assert found["said"].count(WORD) >= 3


def test_nothing_is_heard_in_other_words_and_sounds(
    model: Path, speaker: Speaker, assets: Path, tmp_path: Path
) -> None:
    others = "okay google. okay, not you. hey jarvis. what is the weather today? open the window, please."
    numbers = np.random.default_rng(0)
    files = [
        speaker.say(others, tmp_path / "others.wav"),
        write_wav(tmp_path / "hiss.wav", (numbers.standard_normal(5 * 16000) * 3000).astype(np.int16)),
        write_wav(tmp_path / "hum.wav", (tone(120, 5.0) * 20000).astype(np.int16)),
        *sorted((assets / "audio").glob("*.wav")),
    ]
    found = heard(model, *files)
    assert len(found) == len(files)
    assert {name for name, words in found.items() if WORD in words} == set()


def ears(model: Path, source: settings.Source) -> settings.Pipeline:
    return settings.Pipeline(name="ears", model=str(model), source=source, report=EACH)


def answers(whole: Whole) -> list[dict[str, Any]]:
    return [state["counts"] for state in whole.bodies("ears/state")]


def test_a_live_program_is_heard_saying_it(model: Path, speaker: Speaker, tmp_path: Path) -> None:
    raw = tmp_path / "said.raw"
    raw.write_bytes(spoken(speaker, tmp_path).tobytes())
    command = (sys.executable, "-c", SPEAKING, str(raw))
    source = settings.CommandSource(command=command, format="s16", rate_hz=RATE_HZ)
    whole = run_whole(tmp_path, ears(model, source), until=lambda so_far: {WORD: 1} in answers(so_far))
    assert {WORD: 1} in answers(whole)


def test_a_recording_is_heard_saying_it_once_and_stays_quiet_otherwise(
    model: Path, speaker: Speaker, tmp_path: Path
) -> None:
    file = write_wav(
        tmp_path / "said.wav",
        np.concatenate([spoken(speaker, tmp_path), spoken(speaker, tmp_path, "hello world")]),
        RATE_HZ,
    )
    whole = run_whole(tmp_path, ears(model, settings.WavSource(path=str(file))))
    assert [told for told in answers(whole) if told] == [{WORD: 1}]


def listening(model: Path) -> Steps:
    """Return what frames go through, with a model that has heard nothing yet."""
    engine = LiteRt(str(model / "model.tflite"), settings.EngineConfig(threads=1), SystemClock(), "nabu")
    return build_steps(describe(model, Overrides(threshold=0.0), None), engine, (0.0, 0.0, 1.0, 1.0))


def scores(steps: Steps, sound: Array, numbers: range) -> list[float]:
    """Return the score of the windows of these numbers, in their order."""
    windows = (sound[number * 480 : number * 480 + 800, None].astype(np.float32) for number in numbers)
    turns = (
        tick(Frame(window, number, 0, 0.0, rate_hz=16000.0), steps, time.monotonic_ns)
        for number, window in zip(numbers, windows, strict=True)
    )
    labels = [turn.result.labels for turn in turns]
    return [label[0].score for label in labels if label]


def test_after_lost_windows_the_model_hears_as_if_it_began_there(model: Path, assets: Path) -> None:
    sound, _ = read_wav(assets / "audio" / "speech.wav")
    sound = np.concatenate([np.random.default_rng(0).standard_normal(16000).astype(np.float32) / 10, sound])
    torn, whole, anew = listening(model), listening(model), listening(model)
    hear = partial(scores, sound=sound)
    before = hear(torn, numbers=range(30))
    assert before == hear(whole, numbers=range(30))
    after = hear(torn, numbers=range(40, 100))
    assert after == hear(anew, numbers=range(40, 100))
    assert after != hear(whole, numbers=range(30, 100))[10:]
