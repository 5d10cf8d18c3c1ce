"""Files and runtimes that do not work are refused in one sentence. Each file has a process of its own: it may die."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.models.collection import MALFORMED, model_path, with_published
from fixtures.paths import TINY_MODELS
from inferd.errors import EngineError
from inferd.runtime.error_text import load_refusal
from inferd.runtime.library import PREFERRED, find_runtime
from inferd.runtime.model_file import open_model

LOAD = """
import sys
from inferd.config.settings import EngineConfig
from inferd.errors import EngineError
from inferd.runtime.litert import LiteRt
from inferd.system.clock import SystemClock
try:
    LiteRt(sys.argv[1], EngineConfig(), SystemClock(), "model")
except EngineError as exc:
    print(exc)
"""
WITHOUT_RUNTIME = "import sys; sys.modules.update(ai_edge_litert=None, tflite_runtime=None)\n" + LOAD

NEEDS_TPU = "is compiled for the Edge TPU, which needs libedgetpu and that device; without them, use the model that .*"
CUT_SHORT = r"is damaged or cut short \(.*\); copy or download it again"
NO_MODEL = "is not a TensorFlow Lite model"
OURS = {
    "custom_op_fake": "needs the custom operator fake-op-double, which .* does not have; convert .*",
    "empty": "is empty; copy or download it again",
    "ethos_u": "is compiled for an Arm Ethos-U accelerator, which inferd does not support; use .*",
    "html_404": NO_MODEL + r" \(it begins with '<!DOCTYP'\); download it again",
    "huge_root_offset": CUT_SHORT,
    "lfs_pointer": "is a Git LFS pointer and not the model itself; run `git lfs pull` where it came from",
    "needs_edgetpu": NEEDS_TPU,
    "text": NO_MODEL + r" \(it begins with 'this is '\); download it again",
    "truncated_16B": CUT_SHORT,
    "truncated_half": CUT_SHORT,
    "wrong_dimension": r"cannot be loaded by .* \(quantized_dimension must be .*\); convert it .*",
    "wrong_magic": NO_MODEL + r" \(it is marked 'TFL9' and not 'TFL3'\); download it again",
    "zeros_tail": CUT_SHORT,
}
PUBLISHED = {
    "malformed/custom_op_fake": "needs the custom operator fake-op-double, which .* does not have; convert .*",
    "malformed/empty": "is empty; copy or download it again",
    "malformed/ethos_u_person_detect_vela": "is compiled for an Arm Ethos-U accelerator, which inferd does not support; use .*",
    "malformed/html_404": NO_MODEL + r" \(it begins with '<!DOCTYP'\); download it again",
    "malformed/huge_root_offset": CUT_SHORT,
    "malformed/lfs_pointer": "is a Git LFS pointer and not the model itself; run `git lfs pull` where it came from",
    "malformed/needs_edgetpu_split_concat": NEEDS_TPU,
    "malformed/rejected_person_detect": r"cannot be loaded by .* \(quantized_dimension must be .*\); convert it .*",
    "malformed/text": NO_MODEL + r" \(it begins with 'this is '\); download it again",
    "malformed/truncated_16B": CUT_SHORT,
    "malformed/truncated_half": CUT_SHORT,
    "malformed/wrong_magic": NO_MODEL + r" \(it is marked 'TFL9' and not 'TFL3'\); download it again",
    "malformed/zeros_tail": CUT_SHORT,
    "audio_sensor/voice_commands_v0.7_edgetpu": NEEDS_TPU,
    "classify/mobilenet_v1_0.25_128_quant_edgetpu": NEEDS_TPU,
    "classify/mobilenet_v2_1.0_224_quant_edgetpu": NEEDS_TPU,
    "detect/ssd_mobilenet_v1_coco_segment_0_of_2_edgetpu": NEEDS_TPU,
    "detect/ssd_mobilenet_v1_coco_segment_1_of_2_edgetpu": NEEDS_TPU,
    "pose_segment/deeplabv3_mnv2_dm05_pascal_quant_edgetpu": NEEDS_TPU,
}
KILLS_TFLITE_RUNTIME = {"truncated_half", "malformed/truncated_half"}


def told(path: Path, program: str = LOAD) -> str:
    """Load a model in a process of its own and return what that printed; it must have ended well."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return run.stdout.strip()


@pytest.mark.parametrize(("model", "sentence"), with_published(OURS.items(), PUBLISHED.items()))
def test_a_file_that_cannot_run_is_refused_in_one_sentence(malformed: Path, model: str, sentence: str) -> None:
    if model in KILLS_TFLITE_RUNTIME and find_runtime().distribution != PREFERRED:
        pytest.skip("tflite-runtime dies of it; the death of a vet child is the verdict there")
    assert re.fullmatch(
        f"model: {sentence}", told(malformed / f"{model}.tflite" if model in MALFORMED else model_path(model))
    )


def test_every_malformed_file_of_ours_is_refused_but_the_one_that_only_a_digest_sees() -> None:
    assert MALFORMED.keys() - OURS.keys() == {"bitflip_mid"}


def test_without_a_runtime_the_module_imports_and_a_load_says_what_to_install() -> None:
    sentence = told(TINY_MODELS / "scalar.tflite", WITHOUT_RUNTIME)
    assert re.fullmatch(r"model: needs a TensorFlow Lite runtime .*\(.*\); run `pip install ai-edge-litert`", sentence)


def test_a_runtime_that_cannot_be_imported_is_named_with_its_reason() -> None:
    with pytest.raises(ImportError, match="No module named 'there_is_none'; No module named 'nor_this'"):
        find_runtime((("one", "there_is_none"), ("two", "nor_this")))


def test_the_old_runtime_under_a_new_numpy_is_told_with_the_line_that_mends_it() -> None:
    fault = SystemError("<built-in method CreateWrapperFromFile> returned a result with an exception set")
    assert re.fullmatch(
        r"tflite-runtime 2.14.0 cannot work with numpy [\d.]+; run `pip install 'numpy<2'`",
        load_refusal(fault, "tflite-runtime 2.14.0"),
    )


def test_an_operator_that_is_newer_than_the_runtime_is_named() -> None:
    fault = ValueError("Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'. An older version ...")
    assert load_refusal(fault, "tflite-runtime 2.14.0").startswith("needs FULLY_CONNECTED version 12, which tflite-")


def test_a_model_that_does_not_fit_into_memory_is_told() -> None:
    assert load_refusal(MemoryError(), "ai-edge-litert 2.3.0") == "does not fit into memory; use a smaller model"


def test_a_long_native_message_is_cut() -> None:
    assert len(load_refusal(ValueError("something odd, " * 1000), "ai-edge-litert 2.3.0")) < 250


def test_a_folder_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"^model: cannot be opened \(Is a directory\)"):
        open_model("model", str(tmp_path))


def test_a_file_shorter_than_its_header_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"TFL3")
    with pytest.raises(EngineError, match=r"^model: is not a TensorFlow Lite model \(it begins with 'TFL3'\)"):
        open_model("model", str(tmp_path / "short"))
