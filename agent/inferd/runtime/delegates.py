"""Delegates: libraries that run part of a TensorFlow Lite model on something else than the CPU.

A delegate and a runtime that were not built for each other kill the process, so whoever loads one that was not seen to
work does it in a child. Importing this module loads nothing.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from inferd.config import settings
from inferd.errors import EngineError
from inferd.runtime import edgetpu
from inferd.runtime.error_text import quoted
from inferd.runtime.library import Runtime

EDGETPU = "edgetpu"
EDGETPU_DEVICE = re.compile(r"(usb|pci)?(:\d+)?")  # what libedgetpu takes as its option "device"
LIBRARY = re.compile(r".+\.(so(\.\d+)*|dylib)")
ENTRY = "tflite_plugin_create_delegate"  # the function that every delegate's library has


class Delegation(NamedTuple):
    """A delegate to load: its library, what that is told, and the name of what it drives."""

    library: str
    options: Mapping[str, str]
    accelerator: str


def delegation(name: str, options: settings.EngineConfig) -> Delegation | None:
    """Return the delegate that a configuration asks for; None where it asks for the CPU.

    Args:
        name: the model's, for what goes wrong.
        options: `delegate` and `delegate_options` count.

    Raises:
        EngineError: no delegate is called so.
    """
    asked, told = options.delegate, options.delegate_options
    if not asked:
        return None
    if asked == EDGETPU:
        return Delegation(edgetpu.LIBRARY, told, EDGETPU)
    if EDGETPU_DEVICE.fullmatch(asked):
        return Delegation(edgetpu.LIBRARY, {"device": asked, **told}, EDGETPU)
    if LIBRARY.fullmatch(PurePath(asked).name):
        return Delegation(asked, told, accelerator_of(asked))
    known = '"edgetpu", "usb", "usb:0", "pci", "pci:0", ":1" or the path of a library (.so)'
    raise EngineError(name, f"asks for a delegate {asked!r}, which is none; delegate takes {known}")


def accelerator_of(library: str) -> str:
    """Return what a library drives, as its file name tells it: "edgetpu" of "/opt/lib/libedgetpu.so.1"."""
    return PurePath(library).name.partition(".")[0].removeprefix("lib")


def load_delegate(name: str, wanted: Delegation, runtime: Runtime) -> Any:  # Any: the runtimes ship no types
    """Load a delegate's library and have it make a delegate.

    Args:
        name: the model's, for what goes wrong.
        wanted: which one.
        runtime: what it will be loaded into.

    Raises:
        EngineError: the library is missing or no delegate, or there is nothing it could drive.
    """
    _require_entry(name, wanted)
    try:
        return runtime.load_delegate(wanted.library, dict(wanted.options))
    except ValueError as exc:  # what the library has to say follows on the second line; libedgetpu says nothing
        said = quoted(ValueError(str(exc).partition("\n")[2]))
        reason = f" ({said})" if said != "ValueError" else ""
        raise EngineError(
            name, f"cannot use {wanted.library}: it makes no delegate{reason}; {_remedy(wanted)}"
        ) from exc


def _require_entry(name: str, wanted: Delegation) -> None:
    """Look into the library first: where it is missing, the runtime leaves a half-made object that complains later.

    Raises:
        EngineError: it cannot be loaded, or is another kind of library.
    """
    try:
        getattr(ctypes.PyDLL(wanted.library), ENTRY)
    except OSError as exc:
        install = edgetpu.INSTALL if wanted.accelerator == EDGETPU else "see that it is there, for this processor"
        raise EngineError(name, f"needs {wanted.library}, which cannot be loaded ({quoted(exc)}); {install}") from exc
    except AttributeError as exc:
        fact = f"cannot use {wanted.library}: it is a library, but no delegate (it has no {ENTRY})"
        raise EngineError(name, f"{fact}; name the delegate's own library") from exc


def _remedy(wanted: Delegation) -> str:
    if wanted.accelerator != EDGETPU:
        return "see what its maker says of these options, and that its device is there"
    return edgetpu.why_refused(wanted.library, wanted.options.get("device", ""))
