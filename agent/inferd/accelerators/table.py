"""The table of accelerators, and look-ups in it. A new one is one line here."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePath

from inferd.accelerators.accelerator import PLAIN_LADDER, Accelerator, RecoveryStep
from inferd.accelerators.edgetpu import EDGETPU

ACCELERATORS: tuple[Accelerator, ...] = (EDGETPU,)  # where a model is compiled for several, the first one runs it


def by_name(name: str) -> Accelerator | None:
    """Return the accelerator of this name."""
    return next((one for one in ACCELERATORS if one.name == name), None)


def by_delegate(delegate: str) -> Accelerator | None:
    """Return the accelerator that a configured `delegate` (a name, a device, a library) uses; None for any other."""
    return next((one for one in ACCELERATORS if one.delegate_options(delegate) is not None), None)


def by_operators(custom_ops: Collection[str]) -> Accelerator | None:
    """Return the accelerator that a model with these custom operators is compiled for."""
    return next((one for one in ACCELERATORS if one.custom_op in custom_ops), None)


def by_file(model: str) -> Accelerator | None:
    """Return the accelerator that a model's file name or path says it is compiled for ("x_edgetpu.tflite")."""
    stem = PurePath(model).stem
    return next((one for one in ACCELERATORS if stem.endswith(one.file_mark)), None)


def cpu_stem(stem: str) -> str:
    """Return the stem of the model that was compiled: "cat" for "cat_edgetpu", and for "cat" itself."""
    accelerator = by_file(f"{stem}.tflite")
    return stem.removesuffix(accelerator.file_mark) if accelerator else stem


def compiled_stems(stem: str) -> tuple[str, ...]:
    """Return the stems that versions of the model "cat" compiled for accelerators have: ("cat_edgetpu",)."""
    return tuple(f"{stem}{one.file_mark}" for one in ACCELERATORS)


def udev_rules() -> tuple[str, ...]:
    """Return the files of systemd/ that open device nodes to the service."""
    return tuple(dict.fromkeys(one.udev_rules for one in ACCELERATORS if one.udev_rules))


def recovery_of(delegate: str) -> tuple[RecoveryStep, ...]:
    """Return the steps before the attempts to reopen what a `delegate` uses."""
    accelerator = by_delegate(delegate)
    return accelerator.recovery if accelerator else PLAIN_LADDER
