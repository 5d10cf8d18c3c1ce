"""A picture into the one input of a model: cut, resize, colour, numbers, in as few passes as the case allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from inferd.errors import ModelError, SourceError
from inferd.picture_input import picture_shape
from inferd.preprocess.denoise import picture_filter
from inferd.preprocess.image.geometry import ImageLayout, Roi, fit
from inferd.preprocess.image.pixels import OPENCV_DTYPES, applier, is_identity, pixel_table
from inferd.preprocess.image.resize import resizer
from inferd.records import Array, ColorOrder, Frame, Geometry, TensorSpec
from inferd.wire.manifest import InputSection

# (channels of the frame, its order, order the model takes) → OpenCV's conversion; what is absent needs none.
CONVERSIONS: dict[tuple[int, ColorOrder, ColorOrder], int] = {
    (3, "bgr", "rgb"): cv2.COLOR_BGR2RGB,
    (3, "rgb", "bgr"): cv2.COLOR_RGB2BGR,
    (3, "bgr", "gray"): cv2.COLOR_BGR2GRAY,
    (3, "rgb", "gray"): cv2.COLOR_RGB2GRAY,
    (4, "bgr", "bgr"): cv2.COLOR_BGRA2BGR,
    (4, "bgr", "rgb"): cv2.COLOR_BGRA2RGB,
    (4, "bgr", "gray"): cv2.COLOR_BGRA2GRAY,
    (4, "rgb", "rgb"): cv2.COLOR_RGBA2RGB,
    (4, "rgb", "bgr"): cv2.COLOR_RGBA2BGR,
    (4, "rgb", "gray"): cv2.COLOR_RGBA2GRAY,
    (1, "gray", "rgb"): cv2.COLOR_GRAY2RGB,
    (1, "gray", "bgr"): cv2.COLOR_GRAY2BGR,
}
# The same for an input of four channels; OpenCV adds an opaque alpha where the frame has none.
CONVERSIONS_TO_ALPHA: dict[tuple[int, ColorOrder, ColorOrder], int] = {
    (3, "bgr", "rgb"): cv2.COLOR_BGR2RGBA,
    (3, "rgb", "bgr"): cv2.COLOR_RGB2BGRA,
    (3, "bgr", "bgr"): cv2.COLOR_BGR2BGRA,
    (3, "rgb", "rgb"): cv2.COLOR_RGB2RGBA,
    (4, "bgr", "rgb"): cv2.COLOR_BGRA2RGBA,
    (4, "rgb", "bgr"): cv2.COLOR_RGBA2BGRA,
    (1, "gray", "rgb"): cv2.COLOR_GRAY2RGBA,
    (1, "gray", "bgr"): cv2.COLOR_GRAY2BGRA,
}
GRAY_CHANNELS, COLOR_CHANNELS, ALPHA_CHANNELS = 1, 3, 4
PICTURE_DIMS = 4  # batch, and three of one picture
DEFAULT_FILL = 0
MAX_PLANS = 2  # a camera has one shape; a folder of all sizes must not keep a buffer for each of them

Pass = Callable[[Array, Array], object]
"""One pass over a picture: reads the first array, fills the second in place."""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is done to pictures of one shape: passes, the array between each two of them, and the way back."""

    fit: ImageLayout
    passes: tuple[Pass, ...]
    between: tuple[Array, ...]

    def run(self, picture: Array, out: Array) -> None:
        """Take the cut-out picture through all passes; the last one fills `out`."""
        y, x = self.fit.y, self.fit.x
        source = picture[y.start : y.start + y.size, x.start : x.start + x.size]
        for each, target in zip(self.passes, (*self.between, out), strict=True):
            each(source, target)
            source = target


class ImagePreprocess:
    """Writes pictures of any shape into one input tensor. Owned by one loop thread: it keeps scratch arrays."""

    def __init__(self, section: InputSection, spec: TensorSpec, roi: Roi) -> None:
        """Settle all that does not depend on the picture's shape.

        Args:
            section: `[input]` of the manifest with what could be found out; what is None takes the usual: RGB, stretch,
                linear, layout by the tensor's shape, pixels as they are for 8-bit tensors.
            spec: the input tensor as the runtime tells it.
            roi: the part of each picture that is used: y0, x0, y1, x1, each 0..1.

        Raises:
            ModelError: the tensor is no picture, or nothing says what pixel values become.
        """
        found = picture_shape(spec.shape, section.layout)
        if found is None or not all(spec.shape):
            raise ModelError(
                spec.name, f"takes shape {list(spec.shape)}, which is no picture; feed it tensors from an .npz"
            )
        self._planar = found.planar
        height, width, channels = self._shape = (found.height, found.width, found.channels)
        self._tensor_shape = (channels, height, width) if self._planar else self._shape
        self._order: ColorOrder = "gray" if channels == GRAY_CHANNELS else _color_order(section)
        self._table = pixel_table(section, spec, channels)
        self._resize = section.resize or "stretch"
        self._filter = section.filter or "fast_area"
        self._fill = DEFAULT_FILL if section.letterbox_fill is None else section.letterbox_fill
        self._denoise = picture_filter(section)
        self._roi = roi
        self._plans: dict[tuple[int, int, int, ColorOrder], _Plan] = {}

    @property
    def height(self) -> int:
        """Of the model's input, pixels."""
        return self._shape[0]

    @property
    def width(self) -> int:
        """Of the model's input, pixels."""
        return self._shape[1]

    def __call__(self, frame: Frame, inputs: Sequence[Array]) -> Geometry:
        """Write a picture (h, w), (h, w, 1), (h, w, 3) or (h, w, 4) uint8 into the input.

        Raises:
            SourceError: the frame holds no such picture.
        """
        picture = _picture(frame)
        key = (*picture.shape, frame.color_order)
        plan = self._plans.get(key)
        if plan is None:
            plan = self._remember(key)
        plan.run(picture, inputs[0].reshape(self._tensor_shape))
        return plan.fit.geometry

    def _remember(self, key: tuple[int, int, int, ColorOrder]) -> _Plan:
        if len(self._plans) >= MAX_PLANS:
            del self._plans[next(iter(self._plans))]
        plan = self._plans[key] = self._plan(*key)
        return plan

    def _plan(self, height: int, width: int, channels: int, order: ColorOrder) -> _Plan:
        """Choose the passes for pictures of one shape."""
        laid = fit((height, width), self._shape[:2], self._resize, self._roi)
        steps: list[tuple[Pass, Array]] = []  # each with the array it fills if it is not the last
        if self._denoise is not None:
            steps.append((self._denoise, np.empty((laid.y.size, laid.x.size, channels), np.uint8)))
        if laid.barred:
            steps.append(self._barrer(laid, channels))
        steps.append((self._resizer(laid, channels), np.full((*self._shape[:2], channels), self._fill, np.uint8)))
        bars_last = self._resize == "letterbox"
        table = CONVERSIONS_TO_ALPHA if self._shape[2] == ALPHA_CHANNELS else CONVERSIONS
        conversion = table.get((channels, "gray" if channels == GRAY_CHANNELS else order, self._order))
        if conversion is not None:
            steps.append((_converter(conversion), np.empty(self._shape, np.uint8)))
            bars_last = False
        if not is_identity(self._table):
            steps.append((applier(self._table), np.empty(self._shape, self._table.dtype)))
            bars_last = False
        if self._planar:
            steps.append((_to_planes, np.empty(0)))
        elif (
            bars_last
        ):  # they are painted once, into our own memory; the tensor's may be used for other things in between
            steps.append((_copy, np.empty(0)))
        return _Plan(laid, tuple(each for each, _ in steps), tuple(array for _, array in steps[:-1]))

    def _barrer(self, laid: ImageLayout, channels: int) -> tuple[Pass, Array]:
        """Return the pass that puts the picture between bars which are painted once, and the array for both."""
        y, x = laid.y, laid.x
        barred = np.full((y.before + y.size + y.after, x.before + x.size + x.after, channels), self._fill, np.uint8)

        def place(picture: Array, out: Array) -> None:
            out[y.before : y.before + y.size, x.before : x.before + x.size] = picture

        return place, barred

    def _resizer(self, laid: ImageLayout, channels: int) -> Pass:
        y, x = laid.y, laid.x
        source = (y.before + y.size + y.after, x.before + x.size + x.after)
        resize = resizer(self._filter, source, (y.to_size, x.to_size), channels)

        def into_region(picture: Array, out: Array) -> None:
            resize(picture, out[y.to_start : y.to_start + y.to_size, x.to_start : x.to_start + x.to_size])

        return into_region


def _color_order(section: InputSection) -> ColorOrder:
    """Return the order of a colour input; "gray" for three channels says nothing about their order."""
    return section.color_order if section.color_order in ("rgb", "bgr") else "rgb"


def _picture(frame: Frame) -> Array:
    """Return the frame's picture as (h, w, c) uint8.

    Raises:
        SourceError: it is none.
    """
    picture = frame.data
    known = (GRAY_CHANNELS, COLOR_CHANNELS, ALPHA_CHANNELS)
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.size:
        if picture.ndim == PICTURE_DIMS - 2:
            return picture[:, :, None]
        if picture.ndim == PICTURE_DIMS - 1 and picture.shape[2] in known:
            return picture
    shape = f"{picture.dtype} of shape {list(picture.shape)}" if isinstance(picture, np.ndarray) else "no array"
    wanted = "a picture of (height, width) or (height, width, 3) uint8"
    raise SourceError(frame.origin or "frame", f"is {shape}, but the model takes {wanted}; feed it pictures")


def _converter(code: int) -> Pass:
    return lambda picture, out: cv2.cvtColor(picture, code, dst=out)


def _to_planes(picture: Array, out: Array) -> None:
    """Copy (h, w, c) into (c, h, w)."""
    if picture.dtype.name in OPENCV_DTYPES:
        cv2.split(picture, list(out))  # a quarter of numpy's time
    else:
        np.copyto(out, picture.transpose(2, 0, 1))


def _copy(picture: Array, out: Array) -> None:
    np.copyto(out, picture)
