"""Turns the errors of a runtime into one sentence: what is wrong, and the remedy."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import shorten

import numpy as np

from inferd.accelerators.table import by_operators
from inferd.errors import EngineError

# What the runtimes raise, as observed: a file or an operator (ValueError), allocation and invoke (RuntimeError), a
# missing or wrong library (OSError, AttributeError, ImportError), tflite-runtime under numpy 2 (SystemError).
NATIVE_ERRORS = (ValueError, RuntimeError, OSError, SystemError, AttributeError, ImportError, MemoryError)

QUOTED_CHARS = 120  # of a native message; some run to a page

CPU = "cpu"
UNSUPPORTED = {
    "ethos-u": "is compiled for an Arm Ethos-U accelerator, which inferd does not support; use the model it was made from",
}


@contextmanager
def loading(name: str, runtime: str, accelerator: str = "") -> Iterator[None]:
    """Turn an error that the runtime raises while it loads a model into an EngineError.

    Args:
        name: the model's.
        runtime: its title.
        accelerator: what a delegate drives; "" for the CPU.

    Raises:
        EngineError: the runtime raised something.
    """
    try:
        yield
    except NATIVE_ERRORS as exc:
        raise EngineError(name, load_refusal(exc, runtime, accelerator)) from exc


def load_refusal(exc: Exception, runtime: str, accelerator: str = "") -> str:
    """Return why a model did not load, in a sentence that follows the model's name."""
    if isinstance(exc, ImportError):
        fact = f"needs a TensorFlow Lite runtime and none can be imported ({quoted(exc)})"
        return f"{fact}; run `pip install ai-edge-litert`"
    if isinstance(exc, SystemError) and runtime.startswith("tflite-runtime"):
        return f"{runtime} cannot work with numpy {np.__version__}; run `pip install 'numpy<2'`"
    if isinstance(exc, MemoryError):
        return "does not fit into memory; use a smaller model"
    if accelerator and isinstance(exc, RuntimeError):  # a damaged file is a ValueError
        return (
            f"is not taken by the delegate for {accelerator} ({quoted(exc)}); compile it again for that, or use the CPU"
        )
    return _operator_refusal(str(exc), runtime) or _file_refusal(exc, runtime)


def invoke_refusal(exc: Exception, runtime: str, accelerator: str) -> str:
    """Return why a loaded model did not run, in a sentence that follows the model's name."""
    if accelerator != CPU:
        return f"{accelerator} failed while running it ({quoted(exc)}); check that it is connected, powered and cool"
    return f"{runtime} failed while running it ({quoted(exc)}); use another version of the model"


def _operator_refusal(text: str, runtime: str) -> str:
    """Return a sentence if `text` is about an operator, else ""."""
    if custom := re.search(r"unresolved custom op: ([^\s]+)", text):
        op = custom[1].rstrip(".")
        if accelerator := by_operators([op]):
            return accelerator.refusal
        unknown = f"needs the custom operator {op}, which {runtime} does not have; convert the model without it"
        return UNSUPPORTED.get(op, unknown)
    if builtin := re.search(r"builtin opcode '(\w+)' version '(\d+)'", text):
        op, version = builtin.groups()
        return f"needs {op} version {version}, which {runtime} does not have; update it, or convert the model for it"
    return ""


def _file_refusal(exc: Exception, runtime: str) -> str:
    if "Flatbuffer" in str(exc) or "No subgraph" in str(exc):
        return f"is damaged or cut short ({quoted(exc)}); copy or download it again"
    return f"cannot be loaded by {runtime} ({quoted(exc)}); convert it again, or for another runtime"


def quoted(exc: Exception) -> str:
    """Return the start of a native message on one line, without the full stop that would end our sentence early."""
    return shorten(str(exc), QUOTED_CHARS, placeholder=" ...").rstrip(" .") or type(exc).__name__
