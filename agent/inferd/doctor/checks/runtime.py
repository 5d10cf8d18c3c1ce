"""Judges the TensorFlow Lite runtime and what it stands on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from inferd.doctor.check import Check, Problem
from inferd.doctor.checks.pipeline_models import pipelines_with_models
from inferd.doctor.readers.requirements import accelerator_of
from inferd.doctor.readers.run_probe_child import ProbeStep, ProbeSteps, ask
from inferd.doctor.readers.world import Python, World
from inferd.records import Unavailable

# Wheels on PyPI, November 2026: ai-edge-litert for CPython 3.10 to 3.14 on x86-64 and 64-bit ARM, tflite-runtime up to
# 3.11; both need glibc.
LITERT_ARCHITECTURES = ("x86_64", "aarch64")
LITERT_PYTHONS = ((3, 10), (3, 14))
TFLITE_NEWEST = (3, 11)
PAHO_OLDEST = 2
MODEL = "model:"


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """A Python, what its runtime did in a child, and whether pip believes that there is one."""

    python: Python
    steps: ProbeSteps
    installed: bool

    @property
    def name(self) -> str:
        """The distribution of the runtime, "" where none was imported."""
        step = self.steps.get("import")
        return step.name if step else ""

    def step(self, name: str) -> ProbeStep | None:
        """Return a step of the child, None where it was not reached."""
        return self.steps.get(name)

    def first_failed(self, *names: str) -> ProbeStep | None:
        """Return the first of these steps that failed, None where none has."""
        return next((step for step in map(self.steps.get, names) if step and step.failed), None)


@dataclass(frozen=True, slots=True)
class Packages:
    """Installed distributions by name, None for those that are not there, and whether the broker is to be used."""

    python: Python
    versions: dict[str, str | None]
    broker: bool


def read_runtime(world: World) -> RuntimeFacts | Unavailable:
    """Try the runtime on our own small model, then on every configured one."""
    wanted = [one for one in pipelines_with_models(world) if one.engine.kind == "litert" and not accelerator_of(one)]
    models = [str(world.at(pipeline.model)) for pipeline in wanted]
    files = [path if path.endswith(".tflite") else f"{path}/model.tflite" for path in dict.fromkeys(models)]
    steps = ask(world, "runtime", str(world.model), *(path for path in files if os.access(path, os.R_OK)))
    installed = any(world.python.installed(name) for name in ("ai-edge-litert", "tflite-runtime"))
    return steps if isinstance(steps, Unavailable) else RuntimeFacts(world.python, steps, installed)


def read_opencv(world: World) -> ProbeSteps | Unavailable:
    """Import OpenCV in a child."""
    return ask(world, "opencv")


def read_packages(world: World) -> Packages:
    """Look up installed distributions."""
    return Packages(world.python, {"paho-mqtt": world.python.installed("paho-mqtt")}, world.configured.mqtt.enabled)


def wheel(python: Python) -> str:
    """Return which runtime pip can install into a Python, "" where none."""
    if python.libc != "glibc":
        return ""
    if python.architecture in LITERT_ARCHITECTURES and LITERT_PYTHONS[0] <= python.version <= LITERT_PYTHONS[1]:
        return "ai-edge-litert"
    if python.architecture == "armv7l" and python.version <= TFLITE_NEWEST:
        return "tflite-runtime==2.14.0"
    return ""


def judge_wheels(facts: RuntimeFacts) -> Iterator[Problem]:
    """Yield a fault where there is no runtime and none can be installed here."""
    if _is_missing(facts) and not wheel(facts.python):
        yield Problem(
            f"no TensorFlow Lite runtime exists for {facts.python.title}", facts.python.executable, _other(facts.python)
        )


def judge_missing(facts: RuntimeFacts) -> Iterator[Problem]:
    """Yield a fault where there is no runtime, but one can be installed."""
    step, named = facts.step("import"), wheel(facts.python)
    if _is_missing(facts) and named and step:
        fact = f"no TensorFlow Lite runtime can be imported ({step.reason})"
        yield Problem(fact, facts.python.executable, facts.python.pip(f"install {named}"))


def judge_numpy(facts: RuntimeFacts) -> Iterator[Problem]:
    """Yield a fault where numpy is missing, or too new for tflite-runtime."""
    step = facts.step("numpy")
    if step and step.failed:
        yield Problem(
            f"numpy cannot be imported ({step.reason})", facts.python.executable, facts.python.pip("install numpy")
        )
    if _is_numpy_too_new(facts):
        fact = f"tflite-runtime {facts.steps.version('import')} cannot work with numpy {facts.steps.version('numpy')}"
        yield Problem(fact, facts.python.executable, facts.python.pip("install 'numpy<2'"))


def judge_broken(facts: RuntimeFacts) -> Iterator[Problem]:
    """Yield a fault where the runtime imports and then cannot run the smallest model, or crashes."""
    numpy, step = facts.step("numpy"), facts.first_failed("import", "construct")
    if step is None or _is_missing(facts) or _is_numpy_too_new(facts) or (numpy and numpy.failed):
        return
    name = f"{facts.name} {facts.steps.version('import')}".strip() or "the runtime"
    doing = "be imported" if step.step == "import" else "run a model"
    again = facts.python.pip(f"install --force-reinstall --no-deps {wheel(facts.python) or facts.name}")
    yield Problem(f"{name} cannot {doing} ({step.reason})", facts.python.executable, again)


def judge_paho(facts: Packages) -> Iterator[Problem]:
    """Yield a fault where paho-mqtt is missing or of the old kind, and a broker is to be used."""
    version = facts.versions["paho-mqtt"]
    mend = facts.python.pip("install 'paho-mqtt>=2.1'")
    if facts.broker and version is None:
        yield Problem("paho-mqtt is not installed", facts.python.executable, mend)
    elif facts.broker and version and int(version.partition(".")[0]) < PAHO_OLDEST:
        yield Problem(f"paho-mqtt {version} is too old; 2.1 or newer is needed", facts.python.executable, mend)


def judge_engines(facts: RuntimeFacts) -> Iterator[Problem]:
    """Yield a fault for each configured model that the runtime refuses."""
    for step in facts.steps.taken.values():
        if step.step.startswith(MODEL) and step.failed:
            fact, _, remedy = (
                step.reason.partition(": ")[2].partition("; ") if step.kind == "EngineError" else (step.reason, "", "")
            )
            yield Problem(f"it does not run here: {fact}", _path(step), remedy or f"inferd models show {_path(step)}")


def judge_delegation(facts: RuntimeFacts) -> Iterator[Problem]:
    """Yield a fault for each quantised model of which no delegate takes a single operator."""
    for step in facts.steps.taken.values():
        if step.step.startswith(MODEL) and step.warning:
            better = wheel(facts.python) == "ai-edge-litert" and facts.name != "ai-edge-litert"
            mend = (
                facts.python.pip("install ai-edge-litert")
                if better
                else f"use the float model instead of {_path(step)}"
            )
            yield Problem(step.warning.partition(";")[0], _path(step), mend, "warning")


def _is_missing(facts: RuntimeFacts) -> bool:
    step = facts.step("import")
    return bool(step and step.failed and step.kind == "ImportError" and not facts.installed)


def _is_numpy_too_new(facts: RuntimeFacts) -> bool:
    step = facts.step("construct")
    new = not facts.steps.version("numpy").startswith("1.")
    return bool(step and step.kind == "SystemError" and facts.name == "tflite-runtime" and new)


def _path(step: ProbeStep) -> str:
    return step.step.removeprefix(MODEL)


def _other(python: Python) -> str:
    """Return what to do where no wheel fits: the smallest change that makes one fit."""
    if python.libc != "glibc":
        return "run inferd on a system with glibc, such as Debian 12 or Raspberry Pi OS"
    if python.architecture in LITERT_ARCHITECTURES:
        return "python3.13 -m venv ~/inferd-venv && ~/inferd-venv/bin/pip install inferd"
    if python.architecture == "armv7l":
        return "install the 64-bit Raspberry Pi OS (32-bit ARM has a runtime up to Python 3.11 only)"
    return f"use a board with 64-bit ARM or x86-64: nobody builds a runtime for {python.architecture}"


CHECKS = (
    Check(
        "runtime.python",
        "whether a runtime exists for this Python on this machine",
        "without a TensorFlow Lite runtime no model can run",
        judge_wheels,
        (read_runtime,),
    ),
    Check(
        "runtime.missing",
        "whether ai-edge-litert or tflite-runtime can be imported",
        "without a TensorFlow Lite runtime no model can run",
        judge_missing,
        (read_runtime,),
    ),
    Check(
        "runtime.numpy",
        "whether numpy is there and of a version that the runtime was built for",
        "the runtime imports under a wrong numpy and fails at the first model",
        judge_numpy,
        (read_runtime,),
    ),
    Check(
        "runtime.broken",
        "whether the runtime runs the digits model in a child process",
        "a runtime that only imports runs nothing; one that crashes ends the worker again and again",
        judge_broken,
        (read_runtime,),
    ),
    Check(
        "runtime.paho",
        "whether paho-mqtt 2 is installed",
        "paho-mqtt 1 has another interface; nothing would reach the broker",
        judge_paho,
        (read_packages,),
    ),
    Check(
        "models.refused",
        "whether every configured model loads and runs in a child process",
        "a pipeline waits until its model can be loaded",
        judge_engines,
        (read_runtime,),
    ),
    Check(
        "models.slow",
        "whether a delegate runs at least one operator of each quantised model",
        "without XNNPACK a quantised model took 14 times as long on x86-64",
        judge_delegation,
        (read_runtime,),
    ),
)
