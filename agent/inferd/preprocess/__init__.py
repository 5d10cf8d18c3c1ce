"""Writes a frame into a model's inputs. Pure functions of arrays; never reads a file, a clock or a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferd.errors import ModelError, SourceError
from inferd.parts import Preprocess
from inferd.preprocess.image import ImagePreprocess
from inferd.preprocess.tensors import TensorPreprocess
from inferd.records import Array, EngineInfo, Frame, Geometry, Wanted
from inferd.wire.manifest import ModelDescription

Roi = tuple[float, float, float, float]


def build(description: ModelDescription, info: EngineInfo, roi: Roi) -> Preprocess:
    """Make what brings frames into a model: pictures where it takes one, tensors by name always.

    Args:
        description: with the input section filled in as far as can be known.
        info: the engine's, with the tensors as the runtime tells them.
        roi: the part of a picture that is used: y0, x0, y1, x1, each 0..1.
    """
    tensors = TensorPreprocess(info.inputs)
    try:
        return _ByFrame(_picture(description, info, roi), tensors)
    except ModelError as exc:  # no fault as long as no picture comes: tensors need no manifest
        return _ByFrame(_NoPictures(exc), tensors)


def wanted(description: ModelDescription, info: EngineInfo) -> Wanted:
    """Return what the model would like its source to give; zeros where it takes neither pictures nor a signal."""
    try:
        made = _picture(description, info, (0.0, 0.0, 1.0, 1.0))
    except ModelError:
        return Wanted()
    return Wanted(width=made.width, height=made.height)


def _picture(description: ModelDescription, info: EngineInfo, roi: Roi) -> ImagePreprocess:
    """Make the way in for pictures.

    Raises:
        ModelError: the model takes none, or not all that is needed is known.
    """
    if len(info.inputs) != 1:
        raise ModelError(description.ref.name, f"has {len(info.inputs)} inputs, so it takes tensors; feed it an .npz")
    return ImagePreprocess(description.manifest.input, info.inputs[0], roi)


class _ByFrame:
    """Takes the way in that fits the kind of frame."""

    def __init__(self, pictures: Preprocess, tensors: Preprocess) -> None:
        self._pictures = pictures
        self._tensors = tensors

    def __call__(self, frame: Frame, inputs: Sequence[Array]) -> Geometry:
        if isinstance(frame.data, Mapping):
            return self._tensors(frame, inputs)
        return self._pictures(frame, inputs)


class _NoPictures:
    """Says of each picture why the model cannot take it."""

    def __init__(self, why: ModelError) -> None:
        self._why = str(why)

    def __call__(self, frame: Frame, inputs: Sequence[Array]) -> Geometry:  # noqa: ARG002 - the fault is the model's
        raise SourceError(frame.origin or "frame", f"is a picture, but {self._why}")
