"""The whole agent with an accelerator that is absent, refuses, fails, hangs, crashes, vanishes and comes back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from shutil import copy
from typing import Any

import cv2
import numpy as np
import pytest

from fixtures.agents.agent import Whole, environment, run_whole
from fixtures.models.fake_delegate import FakeTpu, build_fake_tpu
from fixtures.paths import PROJECT
from inferd.config import settings

DIGITS = PROJECT / "models" / "digits"
COMPILED = PROJECT / "tests" / "runtime" / "models" / "digits_edgetpu.tflite"
DEADLINE_S = 1.0
LONG_S = 8.0  # within which a busy machine answers, so that the answer is what is told
FROM_TPU = (0, 200 / 256)  # class and score that the fake writes


@pytest.fixture
def tpu(tmp_path: Path) -> FakeTpu:
    folder = tmp_path / "lib"
    folder.mkdir()
    return build_fake_tpu(folder)


def bundle(folder: Path, *, cpu_version: bool = True) -> Path:
    """Lay our digits model down as one for the Edge TPU, with or without its CPU version."""
    folder.mkdir()
    model = folder / "digits_edgetpu.tflite"
    copy(COMPILED, model)
    copy(DIGITS / "labels.txt", folder / "digits.txt")
    said = (DIGITS / "model.toml").read_text().replace("labels.txt", "digits.txt").partition("[golden]")[0]
    (folder / "digits.toml").write_text(said)
    if cpu_version:
        copy(DIGITS / "model.tflite", folder / "digits.tflite")
    return model


def pipeline(tpu: FakeTpu, model: str, name: str = "cam") -> settings.Pipeline:
    """Return a pipeline on a moving test picture, 20 frames a second."""
    engine = settings.EngineConfig(
        delegate=str(tpu.library), delegate_options={"mode_file": str(tpu.mode_file)}, threads=1
    )
    return settings.Pipeline(
        name=name,
        model=model,
        engine=engine,
        source=settings.SyntheticSource(width=32, height=32),
        pace=settings.Pace(mode="fixed", fps=20.0),
        report=settings.ReportConfig(when="every", max_per_s=0.0),
    )


def run(
    tmp_path: Path,
    tpu: FakeTpu,
    until: Callable[[Whole], object],
    *,
    cpu_version: bool = True,
    compiled: bool = True,
    patience_s: float = 10.0,
    deadline_s: float = DEADLINE_S,
) -> Whole:
    """Run the agent until something was heard."""
    model = bundle(tmp_path / "models", cpu_version=cpu_version)
    cam = pipeline(tpu, str(model if compiled else model.with_name("digits.tflite")))
    return run_whole(tmp_path / "state", cam, until=until, patience_s=patience_s, deadline_s=deadline_s)


def by_tpu(result: dict[str, Any]) -> bool:
    """Whether the fake accelerator gave a result."""
    first = result["labels"][0]
    return (first["id"], round(first["score"], 4)) == (FROM_TPU[0], round(FROM_TPU[1], 4))


def results(whole: Whole, *, of_tpu: bool) -> int:
    return sum(by_tpu(result) is of_tpu for result in whole.bodies("cam/result"))


def active(whole: Whole) -> list[tuple[str, bool]]:
    """Return accelerator and degradation of all models that served, in order."""
    told = [(body["accelerator"], body["degraded"]) for body in whole.bodies("cam/model") if body["state"] == "active"]
    return [one for index, one in enumerate(told) if index == 0 or told[index - 1] != one]


def fallback_serves(whole: Whole) -> bool:
    return results(whole, of_tpu=False) > 2


def tpu_serves(whole: Whole) -> bool:
    return results(whole, of_tpu=True) > 2


def reason(whole: Whole) -> str:
    """Return why the model that serves is degraded."""
    return str(next(body["reason"] for body in reversed(whole.bodies("cam/model")) if body["degraded"]))


def test_a_working_accelerator_serves(tmp_path: Path, tpu: FakeTpu) -> None:
    assert active(run(tmp_path, tpu, tpu_serves)) == [("edgetpu", False)]


@pytest.mark.parametrize(
    ("mode", "why"),
    [
        ("absent", "there is no Edge TPU"),
        ("refusing", "this accelerator serves somebody else"),
        ("failing", "is not taken by the delegate for edgetpu"),
        ("erring", "edgetpu failed while running it"),
        ("crashing", "the process that tried it died"),
        ("crashing-load", "the process that tried it died"),
        ("hanging", "the accelerator does not answer"),
    ],
)
def test_an_accelerator_that_does_not_work_leaves_the_cpu_version_serving_and_says_why(
    tmp_path: Path, tpu: FakeTpu, mode: str, why: str
) -> None:
    tpu.behave(mode)
    whole = run(tmp_path, tpu, fallback_serves, deadline_s=DEADLINE_S if mode == "hanging" else LONG_S)
    assert active(whole) == [("cpu", True)]
    assert why in reason(whole)
    assert "accelerator.failed" in whole.events()
    assert whole.bodies("cam/status")[-1]["status"] == "degraded"


@pytest.mark.parametrize("mode", ["absent", "erring", "hanging", "crashing"])
def test_an_accelerator_that_fails_in_service_hands_over_to_the_cpu_version_and_returns(
    tmp_path: Path, tpu: FakeTpu, mode: str
) -> None:
    behaviours = [mode, "good"]

    def until(whole: Whole) -> bool:
        """Take the accelerator away once it serves, and give it back once the CPU version does."""
        if behaviours and (fallback_serves if behaviours == ["good"] else tpu_serves)(whole):
            tpu.behave(behaviours.pop(0))
        return active(whole) == [("edgetpu", False), ("cpu", True), ("edgetpu", False)]

    whole = run(tmp_path, tpu, until)
    assert active(whole) == [("edgetpu", False), ("cpu", True), ("edgetpu", False)]
    told = [kind for kind in whole.events() if kind.startswith("accelerator.")]
    assert (told[0], told[-1]) == ("accelerator.failed", "accelerator.back")


def test_an_error_of_the_accelerator_costs_no_frame(tmp_path: Path, tpu: FakeTpu) -> None:
    def until(whole: Whole) -> bool:
        if tpu_serves(whole):
            tpu.behave("erring")
        return fallback_serves(whole)

    whole = run(tmp_path, tpu, until)
    frames = [result["frame"] for result in whole.bodies("cam/result")]
    assert frames == list(range(frames[0], frames[0] + len(frames)))


def test_without_a_cpu_version_an_absent_accelerator_is_a_named_refusal(tmp_path: Path, tpu: FakeTpu) -> None:
    tpu.behave("absent")
    whole = run(tmp_path, tpu, lambda so_far: "model.refused" in so_far.events(), cpu_version=False)
    refused = next(event for event in whole.bodies("event") if event["kind"] == "model.refused")
    assert "there is no Edge TPU" in refused["message"]
    assert whole.bodies("cam/model")[-1]["state"] == "refused"


class Plugged:
    """Plugs the accelerator in once its model was refused, and has the agent look again where that is asked for."""

    def __init__(self, tpu: FakeTpu, *, look_again: bool) -> None:
        self._tpu = tpu
        self._look_again = look_again
        self._plugged = False

    def __call__(self, whole: Whole) -> bool:
        if not self._plugged and "model.refused" in whole.events():
            self._plugged = True
            self._tpu.behave("good")
            if self._look_again:
                os.kill(os.getpid(), signal.SIGHUP)
        return tpu_serves(whole)


def test_a_model_without_a_fallback_serves_once_its_accelerator_is_plugged_in(tmp_path: Path, tpu: FakeTpu) -> None:
    tpu.behave("absent")
    whole = run(tmp_path, tpu, Plugged(tpu, look_again=True), cpu_version=False)
    assert active(whole) == [("edgetpu", False)]
    assert whole.bodies("cam/status")[-1]["status"] == "running"


@pytest.mark.soak
@pytest.mark.parametrize("where", ["by its path", "in the drop folder"])
def test_a_model_without_a_fallback_serves_within_half_a_minute_after_its_accelerator_is_plugged_in(
    tmp_path: Path, tpu: FakeTpu, where: str
) -> None:
    tpu.behave("absent")
    dropped = where == "in the drop folder"
    (tmp_path / "state").mkdir()
    model = bundle(tmp_path / ("state/models" if dropped else "models"), cpu_version=False)
    cam = pipeline(tpu, "digits_edgetpu" if dropped else str(model))
    whole = run_whole(tmp_path / "state", cam, until=Plugged(tpu, look_again=False), patience_s=45, deadline_s=1.0)
    assert active(whole) == [("edgetpu", False)]
    assert whole.events().count("model.refused") == 1


def test_an_accelerator_that_serves_another_process_leaves_the_cpu_version_serving_until_it_is_free(
    tmp_path: Path, tpu: FakeTpu
) -> None:
    held = [tpu.hold()]

    def until(whole: Whole) -> bool:
        """Let go of it once the CPU version serves."""
        if held and fallback_serves(whole):
            held.pop().close()
        return active(whole) == [("cpu", True), ("edgetpu", False)]

    whole = run(tmp_path, tpu, until)
    assert active(whole) == [("cpu", True), ("edgetpu", False)]
    assert "serves another process; an accelerator belongs to one at a time" in reason(whole)


def test_a_second_model_without_a_cpu_version_is_refused_while_the_first_holds_the_accelerator_and_serves_after_that(
    tmp_path: Path, tpu: FakeTpu
) -> None:
    first = pipeline(tpu, str(bundle(tmp_path / "first")), "first")
    second = pipeline(tpu, str(bundle(tmp_path / "second", cpu_version=False)), "cam")
    asked = [True]
    pipelines = [(first, second), (second,)]

    def until(whole: Whole) -> bool:
        """Bring the second once the first serves, and take the first away once the second was refused."""
        refused = "model.refused" in whole.events()
        if asked and (refused if len(pipelines) == 1 else whole.bodies("first/result")):
            asked.pop()
            os.kill(os.getpid(), signal.SIGHUP)
        return tpu_serves(whole)

    def reread() -> tuple[settings.Pipeline, ...]:
        if len(pipelines) == 2:
            asked.append(True)
        return pipelines.pop(0)

    whole = run_whole(tmp_path / "state", first, until=until, reread=reread, patience_s=15, deadline_s=DEADLINE_S)
    refused = next(event["message"] for event in whole.bodies("event") if event["kind"] == "model.refused")
    assert "serves another process; an accelerator belongs to one at a time" in refused
    assert active(whole) == [("edgetpu", False)]


@pytest.mark.slow
def test_each_step_to_bring_a_wedged_stick_back_is_told(tmp_path: Path, tpu: FakeTpu) -> None:
    tpu.behave("absent")
    whole = run(tmp_path, tpu, lambda so_far: so_far.events().count("accelerator.mending") == 3, patience_s=25)
    told = [event["message"] for event in whole.bodies("event") if event["kind"] == "accelerator.mending"]
    assert [message.partition(":")[0] for message in told] == ["reopen", "reopen", "usb_reset"]
    assert whole.events().count("accelerator.failed") == 1
    assert active(whole) == [("cpu", True)]


def test_a_delegate_for_an_ordinary_model_leaves_that_model_on_the_cpu_when_it_fails(
    tmp_path: Path, tpu: FakeTpu
) -> None:
    tpu.behave("refusing")
    other = tpu._replace(library=tpu.library.rename(tpu.library.with_name("libneural.so")))
    whole = run(tmp_path, other, fallback_serves, compiled=False)
    assert active(whole) == [("cpu", True)]


@pytest.mark.parametrize("cpu_version", ["digits.tflite", "cpu.tflite"])
def test_infer_refuses_what_needs_a_tpu_and_names_the_file_of_its_cpu_version(tmp_path: Path, cpu_version: str) -> None:
    model, picture = bundle(tmp_path / "models"), tmp_path / "digit.png"
    if cpu_version != "digits.tflite":
        model = model.rename(model.with_name("compiled.tflite"))
        manifest = (tmp_path / "models" / "digits.toml").read_text()
        (tmp_path / "models" / "compiled.toml").write_text(
            manifest.replace("[model]", f'[model]\ntwin = "{cpu_version}"')
        )
        (tmp_path / "models" / "digits.toml").rename(tmp_path / "models" / "cpu.toml")
        (tmp_path / "models" / "digits.tflite").rename(tmp_path / "models" / cpu_version)
    cv2.imwrite(str(picture), np.load(DIGITS / "golden.npz")["picture"][0])
    command = [sys.executable, "-m", "inferd", "infer", str(model), str(picture)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 1
    assert f"{model.name}: is compiled for the Edge TPU" in done.stderr
    assert done.stderr.endswith(f"inferd infer {model.with_name(cpu_version)}\n")
