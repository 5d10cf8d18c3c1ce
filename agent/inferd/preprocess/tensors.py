"""Arrays that go to the model as they are, found by the names of its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from inferd.array_math import quantize
from inferd.errors import SourceError
from inferd.records import Array, Frame, Geometry, TensorSpec

SIGNATURE_PREFIX = "serving_default_"  # what TensorFlow's converter adds to the name that the author gave
OUTPUT_SUFFIX = ":0"


class TensorPreprocess:
    """Copies the arrays of a frame into a model's inputs. Owned by one loop thread."""

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        """Learn the names.

        Args:
            specs: the model's inputs, in the engine's order.
        """
        self._specs = tuple(specs)
        self._names = tuple((spec.name, _plain_name(spec.name)) for spec in specs)

    def __call__(self, frame: Frame, inputs: Sequence[Array]) -> Geometry:
        """Fill every input from the array of its name, with or without what a converter added to that name.

        An array of the tensor's own dtype is copied bit by bit. Other numbers are converted only where nothing is lost
        but float precision: real numbers into a quantised tensor by its scale and zero point. A sample may have one
        leading axis of 1 more than the tensor.

        Raises:
            SourceError: an input has no array, or one of a shape or dtype that does not fit.
        """
        if not isinstance(frame.data, Mapping):
            raise SourceError(frame.origin or "frame", "is a picture, but the model wants tensors; feed it an .npz")
        for spec, names, tensor in zip(self._specs, self._names, inputs, strict=True):
            array = self._find(frame, frame.data, names)
            np.copyto(tensor, _converted(_shaped(array, spec, frame), spec, frame))
        return Geometry()

    def _find(self, frame: Frame, arrays: Mapping[str, Array], names: tuple[str, str]) -> Array:
        for name in names:
            if name in arrays:
                return np.asarray(arrays[name])
        if len(arrays) == len(self._specs) == 1:
            return np.asarray(next(iter(arrays.values())))
        given = ", ".join(arrays) or "nothing"
        raise SourceError(frame.origin or "frame", f"has no array {names[1]!r} that the model wants, only {given}")


def _plain_name(name: str) -> str:
    return name.removeprefix(SIGNATURE_PREFIX).removesuffix(OUTPUT_SUFFIX)


def _shaped(array: Array, spec: TensorSpec, frame: Frame) -> Array:
    """Return the array in the tensor's shape.

    Raises:
        SourceError: it does not fit.
    """
    if array.shape == spec.shape:
        return array
    if array.shape == (1, *spec.shape):
        without_batch: Array = array[0]
        return without_batch
    shapes = f"{_plain_name(spec.name)!r} has shape {list(array.shape)}, but the model takes {list(spec.shape)}"
    raise SourceError(frame.origin or "frame", f"{shapes}; the first axis counts samples, the others must be equal")


def _converted(array: Array, spec: TensorSpec, frame: Frame) -> Array:
    """Return the array in the tensor's dtype.

    Raises:
        SourceError: numbers would be lost or misread.
    """
    wanted = np.dtype(spec.dtype)
    if array.dtype == wanted:
        return array
    if array.dtype.kind == "f" and spec.quantized:
        return quantize(array, spec)
    if wanted.kind in "fc" and array.dtype.kind in "biuf":
        return array.astype(wanted)
    if wanted.kind in "iu" and array.dtype.kind in "biu" and not spec.quantized:
        converted = array.astype(wanted)
        if (converted == array).all():
            return converted
    dtypes = f"{_plain_name(spec.name)!r} is {array.dtype}, but the model takes {wanted}"
    also = f"{wanted}, or float for real values" if spec.quantized else f"{wanted}"
    raise SourceError(frame.origin or "frame", f"{dtypes}; give it as {also}")
