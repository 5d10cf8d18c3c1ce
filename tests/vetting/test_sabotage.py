"""Models that each break one thing, and what each is refused for; and good updates, which all pass."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from fixtures.making_tflite import FULLY_CONNECTED, INT4, INT8, ModelMade, TensorMade
from inferd import ipc
from inferd.bundled import bundled
from inferd.config import settings
from inferd.control.examination import ENVIRONMENT, LIMITS, PRELOAD, Accepted, Rejected, examine
from inferd.control.following import release
from inferd.runtime.library import find_runtime
from inferd.system.seed import Seed
from inferd.vet.gates import OLD_RUNTIME
from inferd.wire.vetting import VetReport

pytestmark = pytest.mark.slow

Sabotage = Callable[[Path], object]
HANG_S = 3.0
MEMORY_MB = 512
IS_OLD = find_runtime().distribution == OLD_RUNTIME


@pytest.fixture(scope="module")
def seed() -> Iterator[Seed]:
    with Seed(PRELOAD, ENVIRONMENT) as started:
        yield started


def vetted(
    seed: Seed, store: Path, model: Path, against: Path | None, kind: str = "litert", timeout_s: float = 30.0
) -> VetReport:
    """Return the report on a model; it is told in the gates and in the verdict alike."""
    request = ipc.Examine(
        str(model), settings.Overrides(), settings.Engine(kind=kind), str(store), gates=True, against=str(against or "")
    )
    verdict = examine(seed, request, timeout_s, msgspec.structs.replace(LIMITS, memory_mb=MEMORY_MB))
    if isinstance(verdict, Accepted):
        release(verdict)
    assert verdict.report is not None
    assert verdict.report.accepted == isinstance(verdict, Accepted)
    assert not isinstance(verdict, Rejected) or verdict.error.message
    return verdict.report


def code(report: VetReport) -> str:
    """Return what refused a model, in a word."""
    return report.failed.code if report.failed else "accepted"


def digits(folder: Path) -> Path:
    """Return a copy of the digits model, with manifest, labels and golden samples."""
    copy = folder / "digits"
    shutil.copytree(bundled("digits"), copy, ignore=shutil.ignore_patterns("clip*", "README*"))
    return copy


def whole(content: bytes) -> Sabotage:
    return lambda model: (model / "model.tflite").write_bytes(content)


def changed(change: Callable[[bytes], bytes]) -> Sabotage:
    def sabotage(model: Path) -> None:
        file = model / "model.tflite"
        file.write_bytes(change(file.read_bytes()))

    return sabotage


def manifest(old: str, new: str) -> Sabotage:
    def sabotage(model: Path) -> None:
        file = model / "model.toml"
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))

    return sabotage


def says(line: str) -> Sabotage:
    """Add a line under [model]."""
    return manifest("[model]\n", f"[model]\n{line}\n")


def labels(change: Callable[[list[str]], list[str]]) -> Sabotage:
    def sabotage(model: Path) -> None:
        file = model / "labels.txt"
        file.write_text("\n".join(change(file.read_text().split())) + "\n")

    return sabotage


def golden(change: Callable[[dict[str, np.ndarray]], object]) -> Sabotage:
    def sabotage(model: Path) -> None:
        with np.load(model / "golden.npz") as archive:
            arrays = {name: archive[name] for name in archive.files}
        change(arrays)
        np.savez(model / "golden.npz", **arrays)

    return sabotage


def beside(name: str, content: bytes) -> Sabotage:
    return lambda model: (model / name).write_bytes(content)


def removed(name: str) -> Sabotage:
    return lambda model: (model / name).unlink()


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


BROKEN: dict[str, tuple[Sabotage, str]] = {
    "empty": (whole(b""), "bad_file"),
    "half": (changed(lambda model: model[: len(model) // 2]), "bad_file"),
    "header only": (changed(lambda model: model[:16]), "bad_file"),
    "magic": (changed(lambda model: model[:4] + b"TFL9" + model[8:]), "bad_file"),
    "zeros": (changed(lambda model: b"\0" * len(model)), "bad_file"),
    "zero tail": (changed(lambda model: model[:1000] + b"\0" * (len(model) - 1000)), "bad_file"),
    "root offset": (changed(lambda model: b"\xff\xff\xff\x7f" + model[4:]), "bad_file"),
    "web page": (whole(b"<!DOCTYPE html><title>404</title>"), "bad_file"),
    "git-lfs pointer": (whole(b"version https://git-lfs.github.com/spec/v1\n"), "bad_file"),
    "text": (whole(b"hello\n" * 20), "bad_file"),
    "zip": (zipped, "bad_file"),
    "gzip": (whole(b"\x1f\x8b\x08" + b"\1" * 100), "bad_file"),
    "HDF5": (whole(b"\x89HDF\r\n\x1a\n" + b"\1" * 100), "bad_file"),
    "pickle": (whole(b"\x80\x04" + b"\1" * 100), "bad_file"),
    "weights": (changed(damaged), "golden_mismatch"),
    "digest": (says(f'sha256 = "{"0" * 64}"'), "digest_mismatch"),
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
    "golden outputs": (golden(shift("output:scores", 1)), "golden_mismatch"),
    "accuracy": (golden(shift("label", 1)), "accuracy_under_budget"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_sabotaged_model_is_refused_for_what_was_broken(seed: Seed, tmp_path: Path, name: str) -> None:
    sabotage, why = BROKEN[name]
    (tmp_path / "old").mkdir()
    old, new = digits(tmp_path / "old"), digits(tmp_path)
    sabotage(new)
    assert code(vetted(seed, tmp_path / "state", new, old)) == why


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
def test_a_model_that_misbehaves_is_refused_for_that(seed: Seed, tmp_path: Path, name: str) -> None:
    behaviour, why = FAKES[name]
    (tmp_path / "old.tflite").write_text("invoke_ms = 1.0\n")
    (tmp_path / "new.tflite").write_text(f"{behaviour}\n")
    report = vetted(seed, tmp_path / "state", tmp_path / "new.tflite", tmp_path / "old.tflite", "fake", HANG_S)
    assert code(report) == why


def test_a_model_that_answers_the_same_whatever_it_is_shown_is_refused(seed: Seed, tmp_path: Path) -> None:
    (tmp_path / "new.tflite").write_text("")
    (tmp_path / "new.toml").write_text('[golden]\nsamples = "new.npz"\n')
    pictures = np.zeros((2, 1, 32, 32, 3), np.uint8)
    wanted = {"output:scores": np.array([[[0.1, 0.9]], [[0.9, 0.1]]], np.float32)}
    np.savez(tmp_path / "new.npz", input=pictures, **wanted)  # type: ignore[arg-type]  # numpy's stub takes a flag there
    assert code(vetted(seed, tmp_path / "state", tmp_path / "new.tflite", None, "fake")) == "constant_output"


REAL = {
    "malformed/custom_op_fake.tflite": "custom_op",
    "malformed/ethos_u_person_detect_vela.tflite": "custom_op",
    "malformed/needs_edgetpu_split_concat.tflite": "wrong_accelerator",
    "malformed/rejected_person_detect.tflite": "load_failed",
    "malformed/heap_corruption_keyword_scrambled_8bit.tflite": "crash",
    "classify/vww_96_float.tflite": "incomplete",
}


@pytest.mark.parametrize("name", REAL)
def test_a_published_model_that_cannot_serve_here_is_refused(
    seed: Seed, tmp_path: Path, assets: Path, name: str
) -> None:
    found = code(vetted(seed, tmp_path / "state", assets / "models" / name, None))
    assert found in (REAL[name], "corrupts_memory" if REAL[name] == "crash" else "")


@pytest.mark.skipif(not IS_OLD, reason="newer runtimes than tflite-runtime 2.14 compute these weights rightly")
@pytest.mark.parametrize(("kind", "channels"), [(INT4, 1), (INT8, 10)], ids=["int4", "a scale for each channel"])
def test_weights_that_the_old_runtime_computes_wrongly_are_refused_before_it_is_tried(
    seed: Seed, tmp_path: Path, kind: int, channels: int
) -> None:
    given = [TensorMade((1, 8), name="x"), TensorMade((10, 8), kind, 0.1, name="w", channels=channels)]
    answer = TensorMade((1, 10), name="y")
    (tmp_path / "m.tflite").write_bytes(ModelMade(given, [answer], FULLY_CONNECTED).content())
    assert code(vetted(seed, tmp_path / "state", tmp_path / "m.tflite", None)) == "wrong_on_this_runtime"


GOOD: dict[str, Sabotage] = {
    "the same again": lambda _: None,
    "a new version": manifest('version = "1.0.0"', 'version = "1.1.0"'),
    "a mended label": labels(lambda lines: ["null", *lines[1:]]),
    "another description": manifest('description = "One', 'description = "Each'),
    "a tighter tolerance": manifest("tolerance = 0.03", "tolerance = 0.01"),
    "fewer samples": golden(lambda some: some.update({name: array[:8] for name, array in some.items()})),
    "samples without classes": golden(lambda some: some.pop("label")),
    "no samples": manifest('samples = "golden.npz"\ntolerance = 0.03', ""),
    "labels that change on purpose": lambda model: (
        says('contract = "new"')(model),
        labels(lambda lines: [f"{line} apples" for line in lines])(model),
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_good_update_passes(seed: Seed, tmp_path: Path, name: str) -> None:
    (tmp_path / "old").mkdir()
    old, new = digits(tmp_path / "old"), digits(tmp_path)
    GOOD[name](new)
    report = vetted(seed, tmp_path / "state", new, old)
    assert code(report) == "accepted", report.failed


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("mobilenet_v2_1.0_224_quant_nometa", "mobilenet_v2_1.0_224_quant"),
        ("mobilenet_v1_0.25_128_quant", "mobilenet_v1_0.25_224_quant"),
        ("mobilenet_v1_0.25_224_quant", "mobilenet_v1_0.25_128_quant"),
    ],
)
def test_a_real_update_passes(seed: Seed, tmp_path: Path, assets: Path, old: str, new: str) -> None:
    folder = assets / "models" / "classify"
    report = vetted(seed, tmp_path / "state", folder / f"{new}.tflite", folder / f"{old}.tflite")
    assert code(report) == "accepted", report.failed


def test_the_catalogue_has_forty_entries_and_more() -> None:
    assert len(BROKEN) + len(FAKES) + len(REAL) + 1 >= 40
