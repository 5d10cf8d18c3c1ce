"""What becomes of a pixel value: one table of 256 entries, and the quickest way to apply it.

Times on an x86-64 core, one OpenCV thread, 224 x 224 x 3, µs: xor 5, addWeighted 37, LUT 52 (92 with a table for each
channel), numpy's multiply and add 50, numpy's take 141.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from inferd.array_math import quantize, saturate
from inferd.errors import ModelError
from inferd.records import Array, TensorSpec
from inferd.wire.manifest import InputSection

Apply = Callable[[Array, Array], object]
"""Maps pixels (h, w, c) uint8 into an array of the same shape in the tensor's dtype, in place."""

SIGN_BIT = 0x80
OPENCV_DTYPES = frozenset({"uint8", "int8", "int16", "uint16", "int32", "float32", "float64"})


def pixel_table(section: InputSection, spec: TensorSpec, channels: int) -> Array:
    """Return what each pixel value becomes: (256, 1), or (256, channels) where channels differ, in the tensor's dtype.

    Without mean and std or a range, an 8-bit tensor takes pixels as they are (int8: shifted by 128).

    Raises:
        ModelError: what is said does not fit the channels, or nothing is said and the tensor cannot take plain pixels.
    """
    pixels = np.arange(256, dtype=np.float64)[:, None]
    real = _real(section, spec, pixels, channels)
    if real is None:
        return _plain(pixels, spec)
    table = quantize(real, spec) if spec.quantized else saturate(real, spec.dtype)
    return table[:, :1] if (table == table[:, :1]).all() else table


def _real(section: InputSection, spec: TensorSpec, pixels: Array, channels: int) -> Array | None:
    """Return the real values (256, 1 or channels) float64 that the pixel values stand for; None if nothing says it."""
    if section.mean is not None or section.std is not None:
        mean, std = section.mean or (0.0,), section.std or (1.0,)
        for name, values in (("mean", mean), ("std", std)):
            if len(values) not in (1, channels):
                wanted = f"1 or {channels}" if channels > 1 else "1"
                raise ModelError(spec.name, f"input.{name} has {len(values)} values, but the input wants {wanted}")
        if not all(std):
            raise ModelError(spec.name, "input.std must not be 0")
        real: Array = (pixels - np.array(mean)) / np.array(std)
        return real
    if section.range is not None:
        low, high = section.range
        return low + pixels * ((high - low) / 255)
    return None


def _plain(pixels: Array, spec: TensorSpec) -> Array:
    """Return the table of a tensor that takes pixels as they are."""
    if spec.dtype == "uint8":
        return pixels.astype(np.uint8)
    if spec.dtype == "int8":
        return (pixels - SIGN_BIT).astype(np.int8)
    remedy = "say input.range, or input.mean and input.std, in the manifest (or --mean and --std)"
    raise ModelError(spec.name, f"takes {spec.dtype} and nothing says what pixel values become; {remedy}")


def is_identity(table: Array) -> bool:
    """Whether the table leaves pixels as they are."""
    return table.dtype == np.uint8 and bool((table == np.arange(256)[:, None]).all())


def applier(table: Array) -> Apply:
    """Return the quickest way to apply a table that is no identity."""
    per_channel = table.shape[1] > 1
    if table.dtype == np.int8 and bool((table == np.arange(256)[:, None] - SIGN_BIT).all()):
        return _flip_sign
    if table.dtype == np.float32 and not per_channel:
        return _scaler(table)
    if table.dtype.name in OPENCV_DTYPES:
        lut = np.ascontiguousarray(table).reshape(1, 256, -1)
        return lambda pixels, out: cv2.LUT(pixels, lut, dst=out)
    return _taker(table)


def _flip_sign(pixels: Array, out: Array) -> None:
    np.bitwise_xor(pixels, SIGN_BIT, out=out.view(np.uint8))


def _scaler(table: Array) -> Apply:
    """Return a fused multiply and add for tables that are a straight line; within 2e-7 of the table, relatively."""
    offset = float(table[0, 0])
    factor = (float(table[255, 0]) - offset) / 255

    def scale(pixels: Array, out: Array) -> None:
        cv2.addWeighted(pixels, factor, pixels, 0.0, offset, dst=out, dtype=cv2.CV_32F)

    return scale


def _taker(table: Array) -> Apply:
    """Return numpy's way, for dtypes that OpenCV's table look-up does not know (float16, int64)."""

    def take(pixels: Array, out: Array) -> None:
        for channel in range(out.shape[2]):
            column = np.ascontiguousarray(table[:, channel % table.shape[1]])
            out[..., channel] = column[pixels[..., channel]]

    return take
