"""Delegates: libraries that run part of a TensorFlow Lite model on something other than the CPU.

A delegate and a runtime that were not built for each other kill the process, so load an untried pair in a child.
Importing this module loads nothing.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any, NamedTuple

from inferd.accelerators.accelerator import Accelerator
from inferd.accelerators.table import ACCELERATORS, by_delegate
from inferd.config import settings
from inferd.errors import EngineError
from inferd.runtime.error_text import quoted
from inferd.runtime.library import Runtime

LIBRARY = re.compile(r".+\.(so(\.\d+)*|dylib)")
ENTRY = "tflite_plugin_create_delegate"  # the function that every delegate's library exports


class Delegation(NamedTuple):
    """A delegate to load.

    Attributes:
        library: its path, or its name for the loader.
        options: passed to the library.
        name: of what it drives: "edgetpu".
        accelerator: None for a library that drives none of ours.
    """

    library: str
    options: Mapping[str, str]
    name: str
    accelerator: Accelerator | None


def delegation(name: str, options: settings.EngineConfig) -> Delegation | None:
    """Return the delegate that a configuration asks for; None for the CPU.

    Args:
        name: the model's, for errors.
        options: `delegate` and `delegate_options` count.

    Raises:
        EngineError: there is no such delegate.
    """
    wanted, extra = options.delegate, options.delegate_options
    if not wanted:
        return None
    accelerator = by_delegate(wanted)
    is_library = LIBRARY.fullmatch(PurePath(wanted).name) is not None
    if accelerator is not None:
        library = wanted if is_library else accelerator.library
        return Delegation(
            library, {**(accelerator.delegate_options(wanted) or {}), **extra}, accelerator.name, accelerator
        )
    if is_library:
        return Delegation(wanted, extra, PurePath(wanted).name.partition(".")[0].removeprefix("lib"), None)
    known = ", ".join(f'"{one}"' for each in ACCELERATORS for one in (each.name, *each.device_examples))
    raise EngineError(name, f"there is no delegate {wanted!r}; delegate takes {known} or the path of a library (.so)")


def load_delegate(name: str, wanted: Delegation, runtime: Runtime) -> Any:  # Any: the runtimes ship no types
    """Load a delegate's library and create a delegate.

    Args:
        name: the model's, for errors.
        wanted: which one.
        runtime: what it will be loaded into.

    Raises:
        EngineError: the library is missing or no delegate, or there is no device for it.
    """
    _require_entry(name, wanted)
    try:
        return runtime.load_delegate(wanted.library, dict(wanted.options))
    except ValueError as exc:  # the library's own message is on the second line; libedgetpu has none
        reported = quoted(ValueError(str(exc).partition("\n")[2]))
        reason = f" ({reported})" if reported != "ValueError" else ""
        raise EngineError(
            name, f"cannot use {wanted.library}: it makes no delegate{reason}; {_remedy(wanted)}"
        ) from exc


def _require_entry(name: str, wanted: Delegation) -> None:
    """Check the library first: if it is missing, the runtime leaves a half-made object that raises later.

    Raises:
        EngineError: it cannot be loaded, or is another kind of library.
    """
    try:
        getattr(ctypes.PyDLL(wanted.library), ENTRY)
    except OSError as exc:
        known = wanted.accelerator
        install = known.install_hint if known else "check that it exists and is built for this processor"
        raise EngineError(name, f"needs {wanted.library}, which cannot be loaded ({quoted(exc)}); {install}") from exc
    except AttributeError as exc:
        fact = f"cannot use {wanted.library}: it is a library, but no delegate (it has no {ENTRY})"
        raise EngineError(name, f"{fact}; name the delegate's own library") from exc


def _remedy(wanted: Delegation) -> str:
    if wanted.accelerator is None:
        return "check its options against the maker's documentation, and that its device is connected"
    return wanted.accelerator.why_no_delegate(wanted.library, wanted.options.get("device", ""))
