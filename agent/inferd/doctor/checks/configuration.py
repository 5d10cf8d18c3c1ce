"""Judges the configuration, and the models it names as far as they can be read without a runtime."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inferd.accelerators.accelerator import Accelerator
from inferd.accelerators.table import by_operators, cpu_stem
from inferd.config import settings
from inferd.doctor.check import Check, Problem
from inferd.doctor.checks.pipeline_models import pipelines_with_models
from inferd.doctor.readers.world import World
from inferd.errors import ConfigError, InferdError, ModelError
from inferd.records import Unavailable
from inferd.store.description.bundle import find_bundle
from inferd.store.description.cpu_fallback import find_cpu_version
from inferd.store.description.describe import describe

LABEL_COUNT = re.compile(r"has [\d,]+ labels for ")
MISSPELT = re.compile(r"\[?(?P<table>[^\]]*?)\]? has no key '(?P<key>.+)'; did you mean '(?P<meant>.+)'\?")


@dataclass(frozen=True, slots=True)
class ConfigFacts:
    """What became of the configuration: the error, the files, how many pipelines."""

    error: ConfigError | None
    files: tuple[str, ...]
    pipelines: int


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """A configured model.

    Attributes:
        path: as configured.
        error: why it cannot be described.
        missing: what nobody says of it.
        compiled_for: the accelerator that it is compiled for; None for the CPU.
        has_fallback: whether its CPU version is there.
        fallback: the file name that the CPU version is to have beside it; "" if only the manifest can name it.
    """

    path: str
    error: InferdError | None = None
    missing: tuple[str, ...] = ()
    compiled_for: Accelerator | None = None
    has_fallback: bool = False
    fallback: str = ""


def read_config(world: World) -> ConfigFacts:
    """Tell how reading the configuration went."""
    if isinstance(world.config, ConfigError):
        error = ConfigError(world.named(world.config.part), world.config.message)
        return ConfigFacts(error, (error.part,), 0)
    return ConfigFacts(None, tuple(map(world.named, world.config.files)), len(world.config.config.pipeline))


def read_models(world: World) -> tuple[ModelFacts, ...] | Unavailable:
    """Describe each configured model once, without running it."""
    pipelines = {one.model: one for one in pipelines_with_models(world) if one.engine.kind == "litert"}
    closed = [path for path in pipelines if not world.sees_all and not _is_open(world.at(path))]
    if closed:
        return Unavailable(f"{closed[0]}: may not be read by you; run the doctor with sudo")
    return tuple(_model_facts(world, one) for one in pipelines.values())


def judge_config(facts: ConfigFacts) -> Iterator[Problem]:
    """Yield a fault where the configuration cannot be used."""
    if facts.error:
        fact, _, remedy = facts.error.message.partition("; ")
        yield Problem(fact, facts.error.part, _mend(facts.error) or remedy or f"inferd config check {facts.error.part}")


def judge_empty(facts: ConfigFacts) -> Iterator[Problem]:
    """Yield a note where nothing is configured."""
    if facts.error is None and not facts.pipelines:
        where = facts.files[0] if facts.files else "/etc/inferd/inferd.toml"
        fact = "no pipeline is configured" if facts.files else "there is no configuration"
        mend = f"sudo inferd init --force {where}" if facts.files else "sudo inferd init"
        yield Problem(f"{fact}; the digits example runs instead", where, mend, "note")


def judge_models(facts: tuple[ModelFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each model that is missing, damaged or contradicts itself."""
    for one in facts:
        if one.error and not LABEL_COUNT.search(one.error.message):
            fact, _, remedy = one.error.message.partition("; ")
            yield Problem(f"{one.error.part} {fact}", one.path, remedy or f"inferd models show {one.path}")


def judge_labels(facts: tuple[ModelFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each label file whose length does not fit its model."""
    for one in facts:
        if one.error and LABEL_COUNT.search(one.error.message):
            fact, _, remedy = one.error.message.partition("; ")
            yield Problem(f"{one.error.part} {fact}", one.path, remedy)


def judge_told(facts: tuple[ModelFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each thing that must be said of a model before it can run."""
    for one in facts:
        for sentence in one.missing:
            fact, _, remedy = sentence.partition("; ")
            yield Problem(fact, one.path, remedy or f"inferd models show {one.path}")


def judge_fallbacks(facts: tuple[ModelFacts, ...]) -> Iterator[Problem]:
    """Yield a warning for each model that is compiled for an accelerator and has no CPU version."""
    for one in facts:
        if one.compiled_for and not one.has_fallback:
            what = f"a model for the {one.compiled_for.title} has no CPU version beside it"
            original = f"copy the model that {one.compiled_for.compiler} was given"
            in_manifest = (
                f'{original} beside it as cpu.tflite, and write twin = "cpu.tflite" under [model] of its manifest'
            )
            yield Problem(what, one.path, f"{original} to {one.fallback}" if one.fallback else in_manifest, "warning")


def _is_open(path: Path) -> bool:
    """Whether we may look at a path; one that is not there may be looked at."""
    try:
        return not path.exists() or os.access(path, os.R_OK)
    except PermissionError:
        return False


def _mend(error: ConfigError) -> str:
    """Return the change that mends a misspelt key, "" for other mistakes."""
    found = MISSPELT.fullmatch(error.message)
    return f"write {found['meant']} instead of {found['key']} in {error.part}" if found else ""


def _model_facts(world: World, pipeline: settings.Pipeline) -> ModelFacts:
    path = world.at(pipeline.model)
    try:
        model = find_bundle(path).model
        described = describe(path, pipeline.overrides, None)
    except (ModelError, OSError) as exc:
        error = exc if isinstance(exc, InferdError) else ModelError(path.name, exc.strerror or str(exc))
        return ModelFacts(pipeline.model, error)
    plain = cpu_stem(model.stem)
    return ModelFacts(
        path=pipeline.model,
        missing=described.missing,
        compiled_for=by_operators(described.facts.custom_ops),
        has_fallback=find_cpu_version(path) is not None,
        fallback=f"{plain}{model.suffix}" if plain != model.stem else "",
    )


CHECKS = (
    Check(
        "config.invalid",
        "whether the configuration can be read and every key is known",
        "the service does not start with a wrong configuration (exit code 78)",
        judge_config,
        (read_config,),
    ),
    Check(
        "config.none",
        "whether any pipeline is configured",
        "the example shows that inferd works, and nothing of yours",
        judge_empty,
        (read_config,),
    ),
    Check(
        "models.unusable",
        "whether each configured model is there, whole, and agrees with its manifest",
        "a pipeline without a usable model waits",
        judge_models,
        (read_models,),
    ),
    Check(
        "models.labels",
        "whether each label file has as many labels as its model has classes",
        "labels that are shifted or of another model name everything wrongly",
        judge_labels,
        (read_models,),
    ),
    Check(
        "models.incomplete",
        "whether everything is said that a model needs and its file does not tell",
        "what pixels become and how outputs are read is never guessed",
        judge_told,
        (read_models,),
    ),
    Check(
        "models.twin",
        "whether each model that is compiled for an accelerator has its CPU version beside it",
        "without it the pipeline stops when the accelerator is lost, and the model cannot be vetted",
        judge_fallbacks,
        (read_models,),
    ),
)
