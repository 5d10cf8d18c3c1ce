"""How a tensor holds a picture: the one place that says which axis is height, width and channels. Pure, without numpy."""

from __future__ import annotations

from dataclasses import dataclass

from inferd.errors import ModelError
from inferd.records import EngineInfo
from inferd.wire.manifest import Layout, ModelDescription

CHANNELS = (1, 3, 4)
RANK = 4  # batch and the axes of a picture


@dataclass(frozen=True, slots=True)
class PictureShape:
    """The picture in an input tensor of (1, height, width, channels), or (1, channels, height, width) where `planar`."""

    height: int
    width: int
    channels: int
    planar: bool


def picture_shape(shape: tuple[int, ...], layout: Layout | None) -> PictureShape | None:
    """Return how a tensor holds one picture, None where its shape is not that of one.

    Args:
        shape: of the tensor; an open side is -1.
        layout: what the manifest says; None takes the first of NHWC and NCHW that has 1, 3 or 4 channels.
    """
    if len(shape) != RANK or shape[0] not in (1, -1):
        return None
    _, first, second, last = shape
    if layout != "nchw" and last in CHANNELS:
        return PictureShape(first, second, last, planar=False)
    if layout != "nhwc" and first in CHANNELS:
        return PictureShape(second, last, first, planar=True)
    return None


def require_picture(description: ModelDescription, info: EngineInfo) -> PictureShape:
    """Return the picture that a model takes.

    Raises:
        ModelError: it takes none, so boxes and points have nothing to lie on.
    """
    shape = info.inputs[0].shape if info.inputs else ()
    found = picture_shape(shape, description.manifest.input.layout)
    if found is None:
        taken = str(list(shape)) if info.inputs else "nothing"
        raise ModelError(description.ref.name, f"takes {taken}, which is no picture: boxes and points need one")
    return found
