"""Writes a frame into a model's inputs. Pure functions of arrays; never reads a file, a clock or a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from inferd.errors import ModelError, SourceError
from inferd.plugins import Preprocess, Stateful
from inferd.preprocess.image.steps import ImagePreprocess
from inferd.preprocess.signal.microfrontend import follow_each_other
from inferd.preprocess.signal.steps import SignalPreprocess, is_signal, wanted_window
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
        pictures: Preprocess = _picture(description, info, roi)
    except ModelError as exc:  # no fault as long as no picture comes: tensors need no manifest
        pictures = _Refused("is a picture", exc)
    return _ByFrame(pictures, _signal(description, info), tensors)


def carries_over(description: ModelDescription) -> bool:
    """Whether windows of a signal are heard as one: what is computed of one depends on those before it."""
    section = description.manifest.signal
    return "microfrontend" in (section.features or ()) and follow_each_other(section)


def _signal(description: ModelDescription, info: EngineInfo) -> Preprocess:
    """Make the way in for windows of a signal.

    Raises:
        ModelError: the manifest's [signal] or [pca] contradicts itself.
    """
    name = description.ref.name
    if len(info.inputs) != 1:
        return _Refused("is a signal", ModelError(name, f"has {len(info.inputs)} inputs, so it takes tensors"))
    try:
        return SignalPreprocess(description.manifest.signal, description.manifest.pca, info.inputs[0])
    except ModelError as exc:
        raise ModelError(name, str(exc)) from exc


def wanted(description: ModelDescription, info: EngineInfo) -> Wanted:
    """Return what the model would like its source to give; zeros where it takes neither a picture nor a signal."""
    if len(info.inputs) != 1:
        return Wanted()
    section, pca = description.manifest.signal, description.manifest.pca
    if section.said:
        return wanted_window(section, pca, info.inputs[0])
    try:
        made = _picture(description, info, (0.0, 0.0, 1.0, 1.0))
    except ModelError:
        return wanted_window(section, pca, info.inputs[0])
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

    def __init__(self, pictures: Preprocess, signals: Preprocess, tensors: Preprocess) -> None:
        self._pictures = pictures
        self._signals = signals
        self._tensors = tensors

    def __call__(self, frame: Frame, inputs: Sequence[Array]) -> Geometry:
        if isinstance(frame.data, Mapping):
            return self._tensors(frame, inputs)
        if is_signal(frame):
            return self._signals(frame, inputs)
        return self._pictures(frame, inputs)

    def forget(self) -> None:
        """Begin anew: the next window follows none."""
        if isinstance(self._signals, Stateful):
            self._signals.forget()


class _Refused:
    """Says of each frame of one kind why the model cannot take it."""

    def __init__(self, what: str, why: ModelError) -> None:
        self._why = f"{what}, but {why}"

    def __call__(self, frame: Frame, inputs: Sequence[Array]) -> Geometry:  # noqa: ARG002 - the fault is the model's
        raise SourceError(frame.origin or "frame", self._why)
