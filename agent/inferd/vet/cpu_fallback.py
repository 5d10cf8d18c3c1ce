"""The CPU side of a model that is meant for an accelerator, as a vet child finds it.

A vet child cannot open an Edge TPU that the worker holds, so such a model is judged by its CPU version; whether the accelerator
takes it is asked apart (`accelerator_probe.py`), as often as needed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import msgspec

from inferd import ipc
from inferd.accelerators.table import by_operators
from inferd.config import settings
from inferd.engine_choice import fitting_engine
from inferd.store.description.bundle import find_bundle
from inferd.store.description.cpu_fallback import find_cpu_version
from inferd.store.description.describe import describe
from inferd.wire.manifest import ModelDescription


class CpuFallback(NamedTuple):
    """What the CPU runs in a model's place: a description of the same name and digest, and an open file."""

    description: ModelDescription
    fd: int


def open_cpu_version(path: Path, request: ipc.Examine, description: ModelDescription) -> CpuFallback | None:
    """Return what the CPU runs instead of a model on an accelerator; None where it needs none, or has none.

    That is the CPU version beside a model compiled for an Edge TPU. Any other model that a delegate runs is its own CPU version.

    Raises:
        ModelError: the CPU version, its manifest or its labels are wrong.
    """
    if not fitting_engine(description, request.engine).delegate:
        return None
    file = find_cpu_version(path)
    if file is None:
        if by_operators(description.facts.custom_ops):
            return None
        return CpuFallback(description, _open(find_bundle(path).model))
    told = describe(file, request.overrides, None)
    return CpuFallback(msgspec.structs.replace(told, ref=description.ref), _open(file))


def on_cpu(engine: settings.EngineConfig) -> settings.EngineConfig:
    """Return how the CPU version of a model is run."""
    return msgspec.structs.replace(engine, delegate="", delegate_options={})


def _open(file: Path) -> int:
    return os.open(file, os.O_RDONLY | os.O_CLOEXEC)
