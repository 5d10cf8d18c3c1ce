"""The tensors of a loaded interpreter: their specifications, and temporary views of their memory."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn, TypeVar

import numpy as np

from inferd.errors import EngineError
from inferd.records import Array, TensorSpec

T = TypeVar("T")

Lend = Callable[[], Array]
Details = Mapping[str, Any]  # the runtime's description of one tensor; it ships no types

# Views of these crash the process in both runtimes (strings) or show raw pointers (resources, variants).
NOT_NUMBERS = {"S": "text", "U": "text", "O": "references"}


def check_numbers(name: str, details: Sequence[Details]) -> None:
    """Refuse tensors that numpy cannot show as numbers.

    Raises:
        EngineError: a tensor holds text or references.
    """
    for tensor in details:
        if held := NOT_NUMBERS.get(np.dtype(tensor["dtype"]).kind):
            fact = f"its tensor {tensor['name']!r} holds {held}, and inferd feeds and reads numbers"
            raise EngineError(name, f"{fact}; convert the model without it")


def spec_of(tensor: Details) -> TensorSpec:
    """Convert the runtime's description of a tensor."""
    dtype = np.dtype(tensor["dtype"])
    scale, zero_point = _per_tensor(tensor) if dtype.kind in "iu" else (0.0, 0)
    return TensorSpec(
        name=tensor["name"],
        shape=tuple(int(size) for size in tensor["shape"]),
        dtype=dtype.name,
        shape_signature=tuple(int(size) for size in tensor["shape_signature"]),
        scale=scale,
        zero_point=zero_point,
    )


def quantized(tensor: Details) -> bool:
    """Whether a tensor's integers represent real numbers, per tensor or per channel."""
    return np.dtype(tensor["dtype"]).kind in "iu" and len(tensor["quantization_parameters"]["scales"]) > 0


def lender(interpreter: Any, tensor: Details) -> Lend:  # Any: the runtimes ship no types
    """Return a function that returns a new view of a tensor, or a new array if the runtime has no view.

    The runtime returns a scalar as a number, not as an array, and refuses a tensor without elements: the function then
    returns a () copy, or an empty array of the current shape.
    """
    fresh = interpreter.tensor(tensor["index"])

    def lend() -> Array:
        try:
            return np.asarray(fresh())
        except ValueError:
            return _empty(interpreter, tensor)

    return lend


def lend(lenders: Sequence[Lend], callback: Callable[[Sequence[Array]], T]) -> T:
    """Call `callback` with new views, which are released when it returns or raises."""
    views = [fresh() for fresh in lenders]
    try:
        return callback(views)
    except BaseException as exc:
        forget_views(exc)
        raise
    finally:
        views.clear()


def closed() -> NoReturn:
    """Replace the views and the invoke of a closed engine.

    Raises:
        AssertionError: always; using a closed engine is our own fault.
    """
    raise AssertionError("this engine is closed")


def forget_views(exc: BaseException | None) -> None:
    """Clear the stack frames of an exception: a view in one of them would make the next invoke refuse.

    Args:
        exc: raised by a callback; the exceptions that it was raised from are cleared too.
    """
    seen: set[int] = set()
    pending = [exc]
    while pending:
        held = pending.pop()
        if held is not None and id(held) not in seen:
            seen.add(id(held))
            traceback.clear_frames(held.__traceback__)
            pending += [held.__cause__, held.__context__]


def _per_tensor(tensor: Details) -> tuple[float, int]:
    scale, zero_point = tensor["quantization"]  # (0.0, 0) where there is none, or one for each channel
    return float(scale), int(zero_point)


def _empty(interpreter: Any, tensor: Details) -> Array:  # Any: the runtimes ship no types
    """Return an empty array of the tensor's current shape.

    Raises:
        RuntimeError: the tensor should have elements; it was read before the first invoke.
    """
    everything = (*interpreter.get_input_details(), *interpreter.get_output_details())
    shape = next(other["shape"] for other in everything if other["index"] == tensor["index"])
    if 0 not in shape:
        raise RuntimeError(f"tensor {tensor['name']!r} has no memory yet; invoke the engine before reading it")
    return np.empty(shape, tensor["dtype"])
