"""The installed TensorFlow Lite runtime. The only module that imports it.

Importing this module imports the runtime if there is one, so that children of the fork server have it. Without one the
import still succeeds, and loading a model raises.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from functools import cache
from importlib import import_module, metadata
from typing import Any, NamedTuple

# In order of preference: the first runs 8-bit models by XNNPACK, the second is the only one on 32-bit ARM.
PREFERRED = "ai-edge-litert"
CANDIDATES = (
    (PREFERRED, "ai_edge_litert.interpreter"),
    ("tflite-runtime", "tflite_runtime.interpreter"),
)


class Runtime(NamedTuple):
    """An importable runtime: its Interpreter class and `load_delegate`, and its distribution's name and version."""

    interpreter: Any  # neither runtime ships types
    load_delegate: Any  # as above
    distribution: str
    version: str

    @property
    def title(self) -> str:
        """Name and version, such as "ai-edge-litert 2.3.0"."""
        return f"{self.distribution} {self.version}"


@cache
def find_runtime(candidates: Sequence[tuple[str, str]] = CANDIDATES) -> Runtime:
    """Return the first of the candidates (distribution, module) that can be imported.

    Raises:
        ImportError: none of them can; the text says why for each.
    """
    reasons = []
    for distribution, module in candidates:
        try:
            imported = import_module(module)
            interpreter, load_delegate = imported.Interpreter, imported.load_delegate
        except (ImportError, OSError, AttributeError) as exc:
            reasons.append(str(exc).strip().splitlines()[-1])
        else:
            return Runtime(interpreter, load_delegate, distribution, _version(distribution, module))
    raise ImportError("; ".join(reasons))


def _version(distribution: str, module: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # a Linux distribution's package, or a nightly build of another name
        return str(getattr(import_module(module.partition(".")[0]), "__version__", "of unknown version"))


with contextlib.suppress(ImportError):
    find_runtime()
