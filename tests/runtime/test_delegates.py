"""Delegates that are absent, refuse, fail or are no delegates end in one sentence; one that works says what it drives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fixtures.models.fake_delegate import COMPILER, MARK, FakeTpu, build_fake_tpu
from fixtures.paths import TINY_MODELS
from inferd.accelerators import edgetpu
from inferd.accelerators.accelerator import ListedDevice
from inferd.accelerators.edgetpu import EDGETPU as ACCELERATOR
from inferd.config import settings
from inferd.errors import EngineError
from inferd.runtime.delegates import delegation
from inferd.runtime.litert import LiteRt
from inferd.system.clock import CountingClock

MODELS = TINY_MODELS
EDGETPU = MODELS / "digits_edgetpu.tflite"
ORDINARY = MODELS / "open_batch.tflite"
LOAD = """
import sys
from inferd.config.settings import EngineConfig
from inferd.errors import EngineError
from inferd.runtime.litert import LiteRt
from inferd.system.clock import SystemClock
try:
    print(LiteRt(sys.argv[1], EngineConfig(delegate="edgetpu"), SystemClock(), "model").info.accelerator)
except EngineError as exc:
    print(exc)
"""


@pytest.fixture
def tpu(tmp_path: Path) -> FakeTpu:
    return build_fake_tpu(tmp_path)


def load(tpu: FakeTpu, path: Path = EDGETPU) -> LiteRt:
    told = {"mode_file": str(tpu.mode_file)}
    options = settings.EngineConfig(delegate=str(tpu.library), delegate_options=told)
    return LiteRt(str(path), options, CountingClock(), "model")


def refusal(tpu: FakeTpu, mode: str) -> str:
    tpu.behave(mode)
    with pytest.raises(EngineError) as held:
        load(tpu)
    return str(held.value)


def test_a_working_delegate_runs_the_model_and_says_what_it_drives(tpu: FakeTpu) -> None:
    engine = load(tpu)
    engine.invoke()
    assert engine.read(lambda views: views[0].tolist()) == [[MARK, *[0] * 9]]
    assert (engine.info.accelerator, engine.info.nodes_delegated, engine.info.warning) == ("edgetpu", 1, "")


def test_a_delegate_may_be_loaded_again_after_it_was_closed(tpu: FakeTpu) -> None:
    load(tpu).close()
    assert load(tpu).info.accelerator == "edgetpu"


def test_a_model_that_was_not_compiled_for_the_edge_tpu_is_told_to_run_on_the_cpu(tpu: FakeTpu) -> None:
    info = load(tpu, ORDINARY).info
    assert (info.accelerator, info.warning[:28]) == ("cpu", "it holds no Edge TPU operato")


def test_another_delegate_that_takes_nothing_is_warned_of(tpu: FakeTpu) -> None:
    other = tpu._replace(library=tpu.library.rename(tpu.library.with_name("libneural.so")))
    info = load(other, MODELS / "picking.tflite").info
    assert info.accelerator == "neural"
    assert re.fullmatch("the delegate for neural takes none of its operators; .*", info.warning)


def test_an_absent_accelerator_is_named(tpu: FakeTpu) -> None:
    assert re.fullmatch(
        r"model: cannot use .*/libedgetpu\.so\.1: it makes no delegate; there is no Edge TPU; plug it in, .*",
        refusal(tpu, "absent"),
    )


def test_a_refusing_accelerator_is_named_with_its_reason(tpu: FakeTpu) -> None:
    assert re.fullmatch(
        r"model: cannot use .*: it makes no delegate \(this accelerator serves somebody else\); usb .* is there, .*",
        refusal(tpu, "refusing"),
    )


def test_a_failing_prepare_is_named(tpu: FakeTpu) -> None:
    sentence = r"model: is not taken by the delegate for edgetpu \(the accelerator does not take this model.*\); .*"
    assert re.fullmatch(sentence, refusal(tpu, "failing"))


def test_a_failing_first_invoke_is_named(tpu: FakeTpu) -> None:
    assert re.fullmatch(
        r"model: edgetpu failed while running it \(the accelerator went away.*\); check that it is connected, .*",
        refusal(tpu, "erring"),
    )


def test_an_accelerator_that_vanishes_is_an_engine_error_and_serves_again_when_it_is_back(tpu: FakeTpu) -> None:
    engine = load(tpu)
    tpu.behave("absent")
    with pytest.raises(EngineError, match="edgetpu failed while running it"):
        engine.invoke()
    tpu.behave("good")
    engine.invoke()


def test_a_missing_library_says_what_to_install(tmp_path: Path) -> None:
    options = settings.EngineConfig(delegate=str(tmp_path / "libedgetpu.so.1"))
    with pytest.raises(
        EngineError, match=r"^model: needs .*libedgetpu.so.1, which cannot be loaded \(.*\); install it"
    ):
        LiteRt(str(EDGETPU), options, CountingClock(), "model")


def test_a_library_that_is_no_delegate_is_named(tmp_path: Path) -> None:
    if COMPILER is None:
        pytest.skip("there is no gcc; apt-get install gcc")
    library = tmp_path / "libother.so"
    subprocess.run([COMPILER, "-shared", "-x", "c", "-o", str(library), os.devnull], check=True, timeout=50)
    with pytest.raises(EngineError, match=r"^model: cannot use .*: it is a library, but no delegate"):
        LiteRt(str(EDGETPU), settings.EngineConfig(delegate=str(library)), CountingClock(), "model")


def test_by_name_the_library_is_found_where_the_loader_looks(tpu: FakeTpu) -> None:
    paths = {"LD_LIBRARY_PATH": str(tpu.library.parent), "FAKE_DELEGATE_MODE_FILE": str(tpu.mode_file)}
    environment = {**os.environ, **paths, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", LOAD, str(EDGETPU)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    assert run.stdout == "edgetpu\n"


@pytest.mark.parametrize("device", ["usb", "usb:0", "pci:0", ":1"])
def test_the_name_of_a_device_reaches_the_library(device: str) -> None:
    asked = delegation("model", settings.EngineConfig(delegate=device))
    assert asked is not None
    assert (asked.library, asked.options, asked.name) == (edgetpu.LIBRARY, {"device": device}, "edgetpu")


def test_without_a_name_there_is_no_delegate() -> None:
    assert delegation("model", settings.EngineConfig()) is None


@pytest.mark.parametrize("name", ["gpu", "usb0", "/opt/lib/", "tpu:0"])
def test_a_name_that_means_nothing_is_refused_with_those_there_are(name: str) -> None:
    with pytest.raises(EngineError, match=r'^model: there is no delegate .*; delegate takes "edgetpu"'):
        delegation("model", settings.EngineConfig(delegate=name))


def test_the_library_lists_its_devices(tpu: FakeTpu) -> None:
    assert edgetpu.list_devices(str(tpu.library)) == (
        ListedDevice("usb", "/sys/bus/usb/devices/2-1"),
        ListedDevice("pci", "/dev/apex_0"),
    )


def test_the_library_tells_its_build(tpu: FakeTpu) -> None:
    assert "RuntimeVersion(14)" in edgetpu.version(str(tpu.library))


def test_a_device_that_is_not_among_those_there_are_is_named(tpu: FakeTpu) -> None:
    assert ACCELERATOR.why_no_delegate(str(tpu.library), "usb:1").startswith(
        "there is no Edge TPU 'usb:1', only usb /sys"
    )


@pytest.mark.parametrize(
    ("built", "runtime", "works"),
    [
        ("BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted), RuntimeVersion(14)", ("tflite-runtime", "2.5.0"), True),
        ("BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted), RuntimeVersion(14)", ("tflite-runtime", "2.11.0"), False),
        ("BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted), RuntimeVersion(14)", ("ai-edge-litert", "2.3.0"), None),
        ("BuildLabel(COMPILER=12.2.0,DATE=redacted), RuntimeVersion(14)", ("ai-edge-litert", "2.3.0"), True),
        ("BuildLabel(COMPILER=12.2.0,DATE=redacted), RuntimeVersion(14)", ("tflite-runtime", "2.14.0"), True),
        ("BuildLabel(COMPILER=6.3.0 20170516,DATE=redacted), RuntimeVersion(14)", ("tflite-runtime", "2.14.0"), False),
        ("BuildLabel(COMPILER=12.2.0,DATE=redacted), RuntimeVersion(14)", ("tflite-runtime", "2.12.0"), None),
    ],
)
def test_a_pair_of_library_and_runtime_is_judged_by_what_was_told(
    built: str,
    runtime: tuple[str, str],
    works: bool | None,  # noqa: FBT001 - it is a verdict, no flag
) -> None:
    assert ACCELERATOR.pair_works(built, *runtime) is works


def test_outputs_of_an_accelerated_model_are_as_its_info_says(tpu: FakeTpu) -> None:
    engine = load(tpu)
    engine.write(lambda views: np.copyto(views[0], 1))
    engine.invoke()
    assert engine.read(lambda views: views[0].shape) == engine.info.outputs[0].shape
