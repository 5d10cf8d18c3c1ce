"""The bundled demo model is what its card and manifest say; whichever TFLite runtime is installed judges it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from inferd.wire.manifest import Manifest
from inferd_tools.digits import clip
from inferd_tools.digits.data import FORM_STARTS, SAMPLES, Digits, held_out, learning, training, validation
from inferd_tools.digits.draw import CLEAN, CLIP_REACH, DESK, INK_MAX, draw, stray, to_input
from inferd_tools.digits.judge import Interpreter, Score, confusions, quantised_scores, score, score_by

Array = NDArray[Any]
FOLDER = Path(__file__).resolve().parents[2] / "models" / "digits"
SCORE_STEP = 1 / 256
ONE = np.zeros((8, 8), np.uint8)
ONE[1:7, 3:5] = INK_MAX


def interpreter() -> Interpreter:
    """Open the model with ai-edge-litert, or with tflite-runtime where that is all there is."""
    try:
        from ai_edge_litert.interpreter import Interpreter as Runtime  # noqa: PLC0415 - one of two may be missing
    except ImportError:
        from tflite_runtime.interpreter import Interpreter as Runtime  # noqa: PLC0415 - as above
    opened: Interpreter = Runtime(str(FOLDER / "model.tflite"))
    return opened


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return msgspec.toml.decode((FOLDER / "model.toml").read_bytes(), type=Manifest)


@pytest.fixture(scope="module")
def card() -> str:
    return (FOLDER / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def truth() -> clip.ClipTruth:
    return clip.read_truth(FOLDER / "clip.json")


@pytest.fixture(scope="module")
def golden() -> dict[str, Array]:
    with np.load(FOLDER / "golden.npz") as file:
        return dict(file)


@pytest.fixture(scope="module")
def clip_score(truth: clip.ClipTruth) -> Score:
    pictures = np.stack([to_input(frame) for frame in clip.read_frames(FOLDER / "clip.avi")])
    answers = quantised_scores(interpreter(), pictures).argmax(axis=1)
    return score(answers, np.array(truth.labels).astype(np.int64))


def test_the_model_reaches_on_the_clip_what_its_manifest_asks_for(clip_score: Score, manifest: Manifest) -> None:
    assert manifest.budget.accuracy is not None
    assert clip_score.accuracy >= manifest.budget.accuracy


def test_the_card_states_what_the_model_reaches_on_the_clip(clip_score: Score, card: str) -> None:
    kernels_differ_by = 3  # frames; another runtime or JPEG decoder may tip a doubtful one
    [row] = [line for line in card.splitlines() if "shipped" in line and "clip frames |" in line]
    right, total = (int(number) for number in row.split("|")[3].split("/"))
    assert total == clip_score.total
    assert abs(right - clip_score.right) <= kernels_differ_by


def test_the_card_and_the_manifest_ask_for_the_same_accuracy(card: str, manifest: Manifest) -> None:
    assert f"The manifest asks for an accuracy of {manifest.budget.accuracy}:" in card


def test_the_card_describes_this_very_file(card: str) -> None:
    content = (FOLDER / "model.tflite").read_bytes()
    assert hashlib.sha256(content).hexdigest() in card
    assert f"{len(content)} bytes" in card


def test_golden_samples_give_the_outputs_they_promise(golden: dict[str, Array], manifest: Manifest) -> None:
    assert manifest.golden.tolerance is not None
    told = quantised_scores(interpreter(), golden["picture"]).astype(np.float64)
    assert np.abs(told - golden["output:scores"]).max() * SCORE_STEP <= manifest.golden.tolerance


def test_golden_samples_are_named_after_the_tensors(golden: dict[str, Array]) -> None:
    opened = interpreter()
    opened.allocate_tensors()
    given, told = opened.get_input_details()[0], opened.get_output_details()[0]
    assert set(golden) == {given["name"], f"output:{told['name']}", "label"}


def test_golden_samples_show_every_digit_and_are_all_right(golden: dict[str, Array]) -> None:
    assert set(golden["label"]) == set(range(10))
    assert (golden["output:scores"].argmax(axis=1) == golden["label"]).all()


def test_input_pixels_and_output_scores_need_no_arithmetic() -> None:
    opened = interpreter()
    given, told = opened.get_input_details()[0], opened.get_output_details()[0]
    assert given["quantization"] == (pytest.approx(1 / 255), 0)
    assert told["quantization"] == (pytest.approx(SCORE_STEP), 0)


def test_the_manifest_describes_the_input_as_the_recipe_makes_it(manifest: Manifest) -> None:
    given = manifest.input
    assert (given.color_order, given.resize, given.filter, given.range) == ("gray", "stretch", "area", (0.0, 1.0))


def test_there_is_a_label_for_every_score(manifest: Manifest) -> None:
    assert isinstance(manifest.output.labels, str)
    labels = (FOLDER / manifest.output.labels).read_text(encoding="utf-8").split()
    assert labels == [str(digit) for digit in range(interpreter().get_output_details()[0]["shape"][-1])]


def test_model_and_clip_are_small_enough_to_ship() -> None:
    assert (FOLDER / "model.tflite").stat().st_size <= 100_000
    assert (FOLDER / "clip.avi").stat().st_size <= 1_500_000


def test_the_clip_has_as_many_frames_as_its_truth(truth: clip.ClipTruth) -> None:
    frames = sum(1 for _ in clip.read_frames(FOLDER / "clip.avi"))
    assert frames == truth.frames == len(truth.labels) == len(truth.samples)


def test_the_clip_shows_every_held_out_digit(truth: clip.ClipTruth) -> None:
    assert sorted(set(truth.samples)) == list(range(SAMPLES - FORM_STARTS[11]))
    assert len(truth.pictures) == SAMPLES - FORM_STARTS[11]


def test_the_pictures_beside_the_clip_are_the_digits_it_shows(truth: clip.ClipTruth) -> None:
    frames = list(clip.read_frames(FOLDER / "clip.avi"))
    likeness = [
        np.corrcoef(to_input(frames[at]).ravel(), to_input(drawn(truth.pictures[truth.samples[at]])).ravel())[0, 1]
        for at in range(0, truth.frames, 50)
    ]
    assert min(likeness) > 0.5


def test_the_same_view_and_seed_draw_the_same_picture() -> None:
    assert (seen(seed=1) == seen(seed=1)).all()


def test_another_seed_draws_another_picture() -> None:
    assert (seen(seed=1) != seen(seed=2)).any()


def test_a_picture_is_dark_strokes_on_light_paper() -> None:
    picture = draw(ONE, CLEAN, np.random.default_rng(0))
    assert picture[64, 64] < 80
    assert picture[64, 8] > 200


def test_drawing_needs_neither_tensorflow_nor_scikit_learn() -> None:
    told = "import sys, inferd_tools.digits.clip; sys.exit(bool({'tensorflow', 'sklearn'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", told], env={"PYTHONPATH": ":".join(sys.path)}, check=False)
    assert ended.returncode == 0


def test_no_form_is_both_trained_on_and_held_out() -> None:
    digits = one_digit_a_form()
    assert set(training(digits).forms) | set(held_out(digits).forms) == set(range(len(FORM_STARTS)))
    assert not set(training(digits).forms) & set(held_out(digits).forms)


def test_choices_are_judged_by_forms_that_were_not_learned_from() -> None:
    digits = one_digit_a_form()
    assert not set(learning(digits).forms) & set(validation(digits).forms)
    assert set(learning(digits).forms) | set(validation(digits).forms) == set(training(digits).forms)


def test_an_interval_is_wilsons() -> None:
    assert Score(95, 100).interval() == pytest.approx((0.8882, 0.9785), abs=1e-4)


def test_mistakes_are_counted_by_kind() -> None:
    truth, answers = np.array([1, 1, 1, 7, 9]), np.array([7, 7, 1, 7, 4])
    assert confusions(answers, truth) == [(1, 7, 2), (9, 4, 1)]
    assert score_by(truth, answers, truth) == {1: Score(1, 3), 7: Score(1, 1), 9: Score(0, 1)}


def seen(seed: int) -> Array:
    rng = np.random.default_rng(seed)
    return draw(ONE, stray(DESK, CLIP_REACH, rng), rng)


def drawn(picture: str) -> Array:
    cells = np.array([int(ink, 16) for ink in picture], np.uint8).reshape(8, 8)
    return draw(cells, CLEAN, np.random.default_rng(0))


def one_digit_a_form() -> Digits:
    forms = np.arange(len(FORM_STARTS))
    return Digits(np.zeros((len(forms), 8, 8), np.uint8), forms % 10, forms)
