"""What the ONNX engine does beyond the contract that all engines share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fixtures.paths import TINY_MODELS
from inferd.config import settings
from inferd.errors import EngineError
from inferd.records import Array
from inferd.runtime.onnx import Onnx
from inferd.system.clock import CountingClock

onnxruntime = pytest.importorskip("onnxruntime", reason="there is no onnxruntime; pip install onnxruntime")

MODELS = TINY_MODELS
WITHOUT_RUNTIME = """
import sys
sys.modules["onnxruntime"] = None
from inferd.config.settings import EngineConfig
from inferd.errors import EngineError
from inferd.runtime.onnx import Onnx
from inferd.system.clock import SystemClock
try:
    Onnx(sys.argv[1], EngineConfig(), SystemClock(), "model")
except EngineError as exc:
    print(exc)
"""


def load(name: str, **options: tuple[str, ...]) -> Onnx:
    return Onnx(str(MODELS / f"{name}.onnx"), settings.EngineConfig(threads=1, **options), CountingClock(), "model")  # type: ignore[arg-type]  # only providers are given


def turn(engine: Onnx, value: object) -> Array:
    engine.write(lambda views: np.copyto(views[0], value))  # type: ignore[arg-type]  # whatever numpy takes
    engine.invoke()
    output: Array = engine.read(lambda views: views[0].copy())
    return output


def test_what_is_written_into_its_memory_reaches_the_model() -> None:
    assert turn(load("open_batch"), [[1, 2, 3, 4]]).tolist() == [[2, 4, 6, 8]]


def test_a_scalar_is_lent_as_an_array() -> None:
    assert turn(load("scalar"), 21) == 42


def test_an_open_dimension_is_one_and_told_as_open() -> None:
    spec = load("open_batch").info.inputs[0]
    assert (spec.shape, spec.shape_signature) == ((1, 4), (-1, 4))


def test_its_info_counts_the_operators_and_names_the_cpu() -> None:
    info = load("digits").info
    assert (info.runtime, info.accelerator, info.warning) == ("onnxruntime", "cpu", "")
    assert info.runtime_version == onnxruntime.__version__


def test_a_provider_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(EngineError, match=r"^model: asks for NoneSuchExecutionProvider, which .*CPUExecutionProvider"):
        load("digits", providers=("NoneSuchExecutionProvider",))


def test_a_model_of_text_is_refused() -> None:
    with pytest.raises(EngineError, match=r"^model: its tensor 'x' holds tensor\(string\), and inferd feeds"):
        load("text")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.onnx").write_text("this is no model")
    with pytest.raises(EngineError, match=r"^model: is not an ONNX model, or is damaged"):
        Onnx(str(tmp_path / "no.onnx"), settings.EngineConfig(), CountingClock(), "model")


def test_a_truncated_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.onnx").write_bytes((MODELS / "digits.onnx").read_bytes()[:40_000])
    with pytest.raises(EngineError, match=r"^model: is not an ONNX model, or is damaged"):
        Onnx(str(tmp_path / "cut.onnx"), settings.EngineConfig(), CountingClock(), "model")


def test_a_missing_file_is_named() -> None:
    with pytest.raises(EngineError, match=r"^model: cannot be opened \(No such file or directory\)"):
        load("nowhere")


def test_it_is_loaded_through_a_descriptor_that_may_be_closed_afterwards() -> None:
    fd = os.open(MODELS / "open_batch.onnx", os.O_RDONLY)
    engine = Onnx(f"/proc/self/fd/{fd}", settings.EngineConfig(), CountingClock(), "model")
    os.close(fd)
    assert turn(engine, 1).tolist() == [[2, 2, 2, 2]]


def test_without_its_runtime_a_load_says_what_to_install() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", WITHOUT_RUNTIME, str(MODELS / "digits.onnx")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=50, check=True)
    assert run.stdout.endswith("run `pip install onnxruntime`\n")
