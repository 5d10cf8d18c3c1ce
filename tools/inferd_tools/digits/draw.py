"""Draws an 8x8 digit the way a camera above a desk would see it: dark strokes on lit paper, askew, soft and noisy.

Training pictures and the clip come from this one file, so that the model meets in the clip what it was trained for.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS = 8
INK_MAX = 16
SIDE_PX = 128
INPUT_PX = 32  # a quarter of the picture: the area filter then averages whole 4x4 blocks
_WOBBLE_KNOTS = 4
_MARGIN_CELLS = 2  # of blank paper, so that the cubic filter has something to fall off to
_CRISPNESS = 1.6  # looked at: more fills the loops of small digits, less leaves grey clouds instead of strokes
_BLUR_MIN_PX = 0.3

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class PaperView:
    """Where the paper lies, how it is lit and how sharp the lens is; as a reach, how far each of these may stray.

    Attributes:
        size: height of the digit's 8x8 box over the height of the picture.
        stretch: width of the box over its height, less one.
        angle_deg: counter-clockwise turn on the paper.
        slant: how far the top leans to the right, per unit of height.
        right: shift of the centre, share of the picture's side.
        down: see `right`.
        thinness: ink coverage (0..1) that is drawn as half dark; more makes the pen thinner.
        paper: grey level of the paper, 0..255.
        ink: grey level of full ink, 0..255.
        glow_right: how much brighter the right edge is than the centre, grey levels.
        glow_down: how much brighter the lower edge is than the centre, grey levels.
        blur_px: standard deviation of the lens blur.
        noise: standard deviation of the sensor's noise, grey levels.
        wobble: largest displacement of the paper's surface, in cells of the 8x8 grid.
    """

    size: float = 0.72
    stretch: float = 0.0
    angle_deg: float = 0.0
    slant: float = 0.0
    right: float = 0.0
    down: float = 0.0
    thinness: float = 0.55
    paper: float = 215.0
    ink: float = 45.0
    glow_right: float = 0.0
    glow_down: float = 0.0
    blur_px: float = 1.2
    noise: float = 0.0
    wobble: float = 0.0


CLEAN = PaperView()
DESK = PaperView(noise=1.5)
TRAINING_REACH = PaperView(
    size=0.12,
    stretch=0.15,
    angle_deg=12.0,
    slant=0.22,
    right=0.07,
    down=0.07,
    thinness=0.15,
    paper=35.0,
    ink=35.0,
    glow_right=25.0,
    glow_down=25.0,
    blur_px=1.0,
    noise=1.5,
    wobble=0.55,
)
CLIP_REACH = PaperView(
    size=0.06,
    stretch=0.0,
    angle_deg=6.0,
    slant=0.0,
    right=0.04,
    down=0.04,
    thinness=0.0,
    paper=15.0,
    ink=10.0,
    glow_right=15.0,
    glow_down=15.0,
    blur_px=0.5,
    noise=0.5,
    wobble=0.0,
)
TREMOR_REACH = PaperView(
    size=0.005,
    stretch=0.0,
    angle_deg=0.6,
    slant=0.0,
    right=0.006,
    down=0.006,
    thinness=0.0,
    paper=1.5,
    ink=0.0,
    glow_right=1.0,
    glow_down=1.0,
    blur_px=0.2,
    noise=0.0,
    wobble=0.0,
)


def stray(view: PaperView, reach: PaperView, rng: np.random.Generator) -> PaperView:
    """Return a view whose every value lies within `reach` of that of `view`, evenly spread."""
    return PaperView(
        *(getattr(view, f.name) + rng.uniform(-1.0, 1.0) * getattr(reach, f.name) for f in fields(PaperView))
    )


def draw(cells: Array, view: PaperView, rng: np.random.Generator) -> Array:
    """Draw a digit; the same digit, view and generator state give the same picture.

    Args:
        cells: (8, 8) numbers 0..16, the ink of each cell.
        view: how it is seen.
        rng: makes the paper's wobble and the sensor's noise.

    Returns:
        (128, 128) uint8, grey, dark strokes on light paper.
    """
    field = np.pad(cells.astype(np.float32) / np.float32(INK_MAX), _MARGIN_CELLS)
    across, along = _cells_of_pixels(view, rng)
    coverage = cv2.remap(
        field, across + _MARGIN_CELLS, along + _MARGIN_CELLS, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT
    )
    strokes = np.clip((coverage - view.thinness) * _CRISPNESS + 0.5, 0.0, 1.0)
    light = view.paper + _glow(view)
    seen = light + strokes * (view.ink - light)
    seen = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), max(view.blur_px, _BLUR_MIN_PX))
    seen += rng.standard_normal(seen.shape, dtype=np.float32) * max(view.noise, 0.0)
    return np.asarray(np.clip(np.rint(seen), 0, 255), dtype=np.uint8)


def to_input(picture: Array) -> Array:
    """Shrink a (h, w) grey or (h, w, 3) BGR uint8 picture to the model's (32, 32, 1) uint8, as its manifest says."""
    small = cv2.resize(picture, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    grey = small if small.ndim == 2 else cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)  # noqa: PLR2004 - an array's rank
    return np.asarray(grey)[:, :, np.newaxis]


def _cells_of_pixels(view: PaperView, rng: np.random.Generator) -> tuple[Array, Array]:
    """Return for every pixel the column and row of the 8x8 grid it shows, two (128, 128) float32 arrays."""
    turn = np.deg2rad(view.angle_deg)
    pixels_per_cell = SIDE_PX * view.size / CELLS
    turned = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    leaned = np.array([[1.0 + view.stretch, -view.slant], [0.0, 1.0]])
    to_cells = np.linalg.inv(turned @ leaned * pixels_per_cell)
    axis = np.arange(SIDE_PX) - (SIDE_PX - 1) / 2
    x, y = np.meshgrid(axis - view.right * SIDE_PX, axis - view.down * SIDE_PX)
    centre = (CELLS - 1) / 2
    bend_x, bend_y = (_bend(view.wobble, rng) for _ in range(2))
    across = to_cells[0, 0] * x + to_cells[0, 1] * y + centre + bend_x
    along = to_cells[1, 0] * x + to_cells[1, 1] * y + centre + bend_y
    return across.astype(np.float32), along.astype(np.float32)


def _bend(wobble: float, rng: np.random.Generator) -> Array:
    """Return a smooth (128, 128) float32 displacement of at most about `wobble` cells."""
    knots = rng.uniform(-1.0, 1.0, (_WOBBLE_KNOTS, _WOBBLE_KNOTS)).astype(np.float32) * wobble
    return np.asarray(cv2.resize(knots, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC))


def _glow(view: PaperView) -> Array:
    """Return the (128, 128) float64 unevenness of the light, grey levels."""
    ramp = np.linspace(-1.0, 1.0, SIDE_PX)
    return np.asarray(view.glow_right * ramp[np.newaxis, :] + view.glow_down * ramp[:, np.newaxis])
