"""From sound to a wake word: files, a live program, and what becomes of it where the sound is torn."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fixtures.agents.agent import Whole, environment, run_whole
from fixtures.media.sounds import tone, write_wav
from fixtures.media.speech import OTHER_WORDS, RATE_HZ, say, spoken
from fixtures.models.collection import find_assets
from inferd.config import settings
from inferd.config.settings import Overrides
from inferd.pipeline import Steps, build_steps, tick
from inferd.records import Array, Frame
from inferd.runtime.litert import LiteRt
from inferd.store.description.describe import describe
from inferd.system.clock import SystemClock

pytestmark = pytest.mark.slow
WORD = "okay nabu"
SAID = "okay nabu (en-us)"
EACH = settings.ReportConfig(when="change", hold=1, window=1)
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
def model(catalogue_model: Callable[[str], Path]) -> Path:
    """Return the wake word as the catalogue places it."""
    pytest.importorskip("pymicro_features", reason="pip install pymicro-features")
    return catalogue_model("okay-nabu")


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
def test_the_word_is_heard_in_a_file_of_another_rate(model: Path, tmp_path: Path, voice: str) -> None:
    found = heard(model, say(f"{WORD} ({voice})", tmp_path / "said.wav"))
    assert found["said"].count(WORD) >= 3


def test_nothing_is_heard_in_other_words_and_sounds(model: Path, tmp_path: Path) -> None:
    numbers = np.random.default_rng(0)
    recorded = find_assets()
    files = [
        say(OTHER_WORDS, tmp_path / "others.wav"),
        say("yes", tmp_path / "yes.wav"),
        say("no", tmp_path / "no.wav"),
        say("alexa", tmp_path / "alexa.wav"),
        write_wav(tmp_path / "hiss.wav", (numbers.standard_normal(5 * 16000) * 3000).astype(np.int16)),
        write_wav(tmp_path / "hum.wav", (tone(120, 5.0) * 20000).astype(np.int16)),
        *(sorted((recorded / "audio").glob("*.wav")) if recorded else ()),
    ]
    found = heard(model, *files)
    assert len(found) == len(files)
    assert {name for name, words in found.items() if WORD in words} == set()


def ears(model: Path, source: settings.Source) -> settings.Pipeline:
    return settings.Pipeline(name="ears", model=str(model), source=source, report=EACH)


def answers(whole: Whole) -> list[dict[str, Any]]:
    return [state["counts"] for state in whole.bodies("ears/state")]


def test_a_live_program_is_heard_saying_it(model: Path, tmp_path: Path) -> None:
    raw = tmp_path / "said.raw"
    raw.write_bytes(spoken(SAID).tobytes())
    command = (sys.executable, "-c", SPEAKING, str(raw))
    source = settings.CommandSource(command=command, format="s16", rate_hz=RATE_HZ)
    whole = run_whole(tmp_path, ears(model, source), until=lambda so_far: {WORD: 1} in answers(so_far))
    assert {WORD: 1} in answers(whole)


def test_a_recording_is_heard_saying_it_once_and_stays_quiet_otherwise(model: Path, tmp_path: Path) -> None:
    said = np.concatenate([spoken(SAID), spoken("hello world")])
    file = write_wav(tmp_path / "said.wav", said, RATE_HZ)
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


def test_after_lost_windows_the_model_hears_as_if_it_began_there(model: Path) -> None:
    said = spoken(OTHER_WORDS, silence_s=0.0).astype(np.float32) / 32768
    at_16_khz = np.interp(np.arange(0, len(said), RATE_HZ / 16000), np.arange(len(said)), said).astype(np.float32)
    sound = np.concatenate([np.random.default_rng(0).standard_normal(16000).astype(np.float32) / 10, at_16_khz])
    torn, whole, anew = listening(model), listening(model), listening(model)
    hear = partial(scores, sound=sound)
    before = hear(torn, numbers=range(30))
    assert before == hear(whole, numbers=range(30))
    after = hear(torn, numbers=range(40, 100))
    assert after == hear(anew, numbers=range(40, 100))
    assert after != hear(whole, numbers=range(30, 100))[10:]
