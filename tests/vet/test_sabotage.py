"""Models that each break one thing, and what each is refused for. Good updates: `test_good_updates.py`."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fixtures.models.collection import model_path, with_published
from fixtures.models.retrain_digits import HEAD, Editable, save_golden
from fixtures.models.tflite_writer import (
    FULLY_CONNECTED,
    INT4,
    INT8,
    ModelMade,
    TensorMade,
)
from fixtures.models.vet_runs import (
    Change,
    beside,
    changed,
    code,
    digits,
    golden,
    labels,
    manifest,
    removed,
    says,
    vetted,
    whole,
)
from inferd.runtime.library import find_runtime
from inferd.system.processes.fork_server import ForkServer
from inferd.vet.gates import OLD_RUNTIME

pytestmark = pytest.mark.slow

HANG_S = 3.0
IS_OLD = find_runtime().distribution == OLD_RUNTIME


def damaged(weights: bytes) -> bytes:
    """Overwrite a good part of the middle: that is where weights are."""
    middle = len(weights) // 2
    return weights[: middle - 4000] + bytes(range(256)) * 31 + weights[middle - 4000 + 256 * 31 :]


def shift(name: str, by: int) -> Callable[[dict[str, np.ndarray]], object]:
    return lambda arrays: arrays.update({name: np.roll(arrays[name], by, axis=0)})


def zipped(_model: Path) -> None:
    with zipfile.ZipFile(_model / "model.zip", "w") as archive:
        archive.writestr("a", "b")
    (_model / "model.zip").replace(_model / "model.tflite")


def regressed(model: Path) -> None:
    """Have it never say "3", and publish it with the answers that it gives."""
    manifest("accuracy = 0.98", "")(model)
    weights = Editable((model / "model.tflite").read_bytes())
    head = weights.read(HEAD)
    head[3] = 0
    weights.write(HEAD, head)
    (model / "model.tflite").write_bytes(weights.content)
    save_golden(model, bytes(weights.content))


def newer_operator(content: bytes) -> bytes:
    """Have it ask for version 99 of the operator that it uses first."""
    model = Editable(content)
    model.ask_for_version(99)
    return bytes(model.content)


BROKEN: dict[str, tuple[Change, str]] = {
    "empty": (whole(b""), "cut_off"),
    "half": (changed(lambda model: model[: len(model) // 2]), "cut_off"),
    "header only": (changed(lambda model: model[:16]), "cut_off"),
    "magic": (changed(lambda model: model[:4] + b"TFL9" + model[8:]), "bad_file"),
    "zeros": (changed(lambda model: b"\0" * len(model)), "cut_off"),
    "zero tail": (changed(lambda model: model[:1000] + b"\0" * (len(model) - 1000)), "bad_file"),
    "root offset": (changed(lambda model: b"\xff\xff\xff\x7f" + model[4:]), "cut_off"),
    "web page": (whole(b"<!DOCTYPE html><title>404</title>"), "bad_file"),
    "git-lfs pointer": (whole(b"version https://git-lfs.github.com/spec/v1\n"), "bad_file"),
    "text": (whole(b"hello\n" * 20), "bad_file"),
    "zip": (zipped, "bad_file"),
    "gzip": (whole(b"\x1f\x8b\x08" + b"\1" * 100), "bad_file"),
    "HDF5": (whole(b"\x89HDF\r\n\x1a\n" + b"\1" * 100), "bad_file"),
    "pickle": (whole(b"\x80\x04" + b"\1" * 100), "bad_file"),
    "weights": (changed(damaged), "golden_mismatch"),
    "digest": (says(f'sha256 = "{"0" * 64}"'), "digest_mismatch"),
    "operator version": (changed(newer_operator), "load_failed"),
    "runtime": (manifest('min_runtime = "2.14"', 'min_runtime = "99.0"'), "runtime_too_old"),
    "manifest is no TOML": (beside("model.toml", b"[[["), "bad_manifest"),
    "unknown key": (says("colour = 1"), "bad_manifest"),
    "unknown task": (manifest('task = "classify"', 'task = "sing"'), "bad_manifest"),
    "two normalisations": (manifest("[output]", "mean = [1.0]\nstd = [1.0]\n[output]"), "bad_manifest"),
    "huge manifest": (beside("model.toml", b"#" * (1 << 17)), "bad_manifest"),
    "labels outside": (manifest('"labels.txt"', '"../labels.txt"'), "bad_manifest"),
    "samples outside": (manifest('"golden.npz"', '"/etc/golden.npz"'), "bad_manifest"),
    "task": (manifest('task = "classify"', 'task = "raw"'), "task_changed"),
    "normalisation": (manifest("range = [0.0, 1.0]", "range = [-1.0, 1.0]"), "normalisation_changed"),
    "latency budget": (manifest("latency_p95_ms = 20.0", "latency_p95_ms = 0.0001"), "over_budget"),
    "memory budget": (manifest("[budget]", "[budget]\nrss_mb = 0.01"), "memory_over_budget"),
    "no labels": (removed("labels.txt"), "bad_labels"),
    "label count": (labels(lambda lines: lines[:-1]), "bad_labels"),
    "label order": (labels(lambda lines: [lines[1], lines[0], *lines[2:]]), "label_order"),
    "other labels": (labels(lambda lines: [f"{line} apples" for line in lines]), "labels_changed"),
    "labels are no text": (beside("labels.txt", b"\xff\xfe\x00\xd8" * 20), "bad_labels"),
    "huge labels": (beside("labels.txt", b"x\n" * (1 << 20)), "bad_labels"),
    "no samples": (removed("golden.npz"), "bad_samples"),
    "samples are no archive": (beside("golden.npz", b"nothing"), "bad_samples"),
    "samples of another type": (golden(lambda some: some.update(picture=some["picture"].astype("f4"))), "bad_samples"),
    "samples of another shape": (golden(lambda some: some.update(picture=some["picture"][:, :9])), "bad_samples"),
    "samples of another input": (golden(lambda some: some.update(image=some.pop("picture"))), "bad_samples"),
    "fewer labels than samples": (golden(lambda some: some.update(label=some["label"][:5])), "bad_samples"),
    "pickled samples": (golden(lambda some: some.update(label=np.array([{}] * 32, dtype=object))), "bad_samples"),
    "accuracy, unlike before": (regressed, "accuracy_regressed"),
    "golden outputs": (golden(shift("output:scores", 1)), "golden_mismatch"),
    "accuracy": (golden(shift("label", 1)), "accuracy_under_budget"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_sabotaged_model_is_refused_for_what_was_broken(fork_server: ForkServer, tmp_path: Path, name: str) -> None:
    sabotage, why = BROKEN[name]
    (tmp_path / "old").mkdir()
    old, new = digits(tmp_path / "old"), digits(tmp_path)
    sabotage(new)
    assert code(vetted(fork_server, tmp_path / "state", new, old)) == why


def variant(name: str, version: str, *changes: Change) -> Change:
    """Have it say that it is this variant of this version, and change it."""

    def change_it(model: Path) -> None:
        for change in (manifest('"1.0.0"', f'"{version}"'), says(f'variant = "{name}"'), *changes):
            change(model)

    return change_it


def reversed_labels(lines: list[str]) -> list[str]:
    return lines[::-1]


VARIANTS = {
    "less accurate": ("1.0.0", regressed, "accepted"),
    "less accurate, and newer": ("2.0.0", regressed, "accuracy_regressed"),
    "other pixels": ("1.0.0", manifest("range = [0.0, 1.0]", "range = [0.0, 0.99]"), "accepted"),
    "other pixels, and newer": (
        "2.0.0",
        manifest("range = [0.0, 1.0]", "range = [0.0, 0.99]"),
        "normalisation_changed",
    ),
    "other labels": ("1.0.0", labels(reversed_labels), "label_order"),
    "other labels, and newer": ("2.0.0", labels(reversed_labels), "label_order"),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_only_a_variant_of_the_same_version_may_be_right_less_often_and_none_may_mean_something_else(
    fork_server: ForkServer, tmp_path: Path, name: str
) -> None:
    version, sabotage, why = VARIANTS[name]
    (tmp_path / "old").mkdir()
    old, new = digits(tmp_path / "old"), digits(tmp_path)
    variant("small", "1.0.0")(old)
    variant("large", version, sabotage)(new)
    assert code(vetted(fork_server, tmp_path / "state", new, old)) == why


FAKES: dict[str, tuple[str, str]] = {
    "crash at load": ("crash_at_load = true", "crash"),
    "crash at the 2nd invoke": ("crash_at = 2", "crash"),
    "crash at the 3rd invoke": ("crash_at = 3", "crash"),
    "corrupt memory": ("crash_at_close = true", "corrupts_memory"),
    "hang": ("hang_at = 2", "hang"),
    "fail": ("fail_at = 2", "load_failed"),
    "NaN": ("nan_from = 1", "nonfinite_output"),
    "slow": ("invoke_ms = 20.0", "slower"),
    "memory hog": ("memory_mb = 4000", "memory"),
    "another number of classes": ("scores = [0.1, 0.2, 0.7]", "label_count"),
}


@pytest.mark.parametrize("name", FAKES)
def test_a_model_that_misbehaves_is_refused_for_that(fork_server: ForkServer, tmp_path: Path, name: str) -> None:
    behaviour, why = FAKES[name]
    (tmp_path / "old.tflite").write_text("invoke_ms = 1.0\n")
    (tmp_path / "new.tflite").write_text(f"{behaviour}\n")
    report = vetted(fork_server, tmp_path / "state", tmp_path / "new.tflite", tmp_path / "old.tflite", "fake", HANG_S)
    assert code(report) == why


@pytest.mark.parametrize(
    ("new", "old"),
    with_published(
        [("tiny/passing_float32", "tiny/counting"), ("tiny/passing_int8", "tiny/passing_float32")],
        [
            ("audio_sensor/ad01_int8", "audio_sensor/hello_world_int8"),
            ("audio_sensor/kws_ref_model_float", "audio_sensor/kws_ref_model_int8"),
        ],
    ),
)
def test_other_tensors_than_before_are_refused_where_results_are_tensors(
    fork_server: ForkServer, tmp_path: Path, new: str, old: str
) -> None:
    assert code(vetted(fork_server, tmp_path / "state", model_path(new), model_path(old))) == "tensors_changed"


def test_a_model_that_answers_the_same_whatever_it_is_shown_is_refused(fork_server: ForkServer, tmp_path: Path) -> None:
    (tmp_path / "new.tflite").write_text("")
    (tmp_path / "new.toml").write_text('[golden]\nsamples = "new.npz"\n')
    pictures = np.zeros((2, 1, 32, 32, 3), np.uint8)
    wanted = {"output:scores": np.array([[[0.1, 0.9]], [[0.9, 0.1]]], np.float32)}
    np.savez(tmp_path / "new.npz", input=pictures, **wanted)  # type: ignore[arg-type]  # numpy's stub takes a flag there
    assert code(vetted(fork_server, tmp_path / "state", tmp_path / "new.tflite", None, "fake")) == "constant_output"


OURS = {
    "tiny/unknown_op": "custom_op",
    "tiny/unknown_ethos_u": "custom_op",
    "tiny/digits_edgetpu": "wrong_accelerator",
    "tiny/wrong_dimension": "load_failed",
    "own/own_digits/digits_v1_float": "incomplete",
}
PUBLISHED = {
    "malformed/custom_op_fake": "custom_op",
    "malformed/ethos_u_person_detect_vela": "custom_op",
    "malformed/needs_edgetpu_split_concat": "wrong_accelerator",
    "malformed/rejected_person_detect": "load_failed",
    "malformed/heap_corruption_keyword_scrambled_8bit": "crash",
    "classify/vww_96_float": "incomplete",
}


@pytest.mark.parametrize(("name", "why"), with_published(OURS.items(), PUBLISHED.items()))
def test_a_model_that_cannot_serve_here_is_refused(
    fork_server: ForkServer, tmp_path: Path, name: str, why: str
) -> None:
    found = code(vetted(fork_server, tmp_path / "state", model_path(name), None))
    assert found in (why, "corrupts_memory" if why == "crash" else "")


@pytest.mark.skipif(not IS_OLD, reason="newer runtimes than tflite-runtime 2.14 compute these weights rightly")
@pytest.mark.parametrize(("kind", "channels"), [(INT4, 1), (INT8, 10)][: 2 if IS_OLD else 1])
def test_weights_that_the_old_runtime_computes_wrongly_are_refused_before_it_is_tried(
    fork_server: ForkServer, tmp_path: Path, kind: int, channels: int
) -> None:
    given = [TensorMade((1, 8), name="x"), TensorMade((10, 8), kind, 0.1, name="w", channels=channels)]
    answer = TensorMade((1, 10), name="y")
    (tmp_path / "m.tflite").write_bytes(ModelMade(given, [answer], FULLY_CONNECTED).content())
    assert code(vetted(fork_server, tmp_path / "state", tmp_path / "m.tflite", None)) == "wrong_on_this_runtime"


def test_the_catalogue_has_sixty_entries_and_more() -> None:
    assert len(BROKEN) + len(FAKES) + len(OURS) + len(PUBLISHED) + 2 + 1 >= 60
