"""Array functions that preprocessing and tasks share. Imported in the worker only (numpy)."""

from __future__ import annotations

import numpy as np

from inferd.records import Array, TensorSpec


def quantize(real: Array, spec: TensorSpec) -> Array:
    """Return real numbers of any shape as values of a quantised tensor: clip(round(real / scale + zero_point)).

    Halves go to the even number. Calculated in float64; NaN becomes the zero point.

    Args:
        real: any shape, any float or integer dtype.
        spec: the tensor; must be quantised.
    """
    steps = np.rint(np.asarray(real, np.float64) / spec.scale + spec.zero_point)
    return saturate(np.where(np.isnan(steps), spec.zero_point, steps), spec.dtype)


def dequantize(values: Array, spec: TensorSpec) -> Array:
    """Return float32 real numbers for a tensor's values: (q - zero_point) * scale; as they are if not quantised."""
    if not spec.quantized:
        return values.astype(np.float32)
    return (values.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)


def saturate(numbers: Array, dtype: str) -> Array:
    """Return numbers in another dtype; into an integer dtype they are rounded half to even and clipped to its range."""
    target = np.dtype(dtype)
    if target.kind not in "iu":
        return numbers.astype(target)
    limits = np.iinfo(target)
    return np.clip(np.rint(numbers), limits.min, limits.max).astype(target)
