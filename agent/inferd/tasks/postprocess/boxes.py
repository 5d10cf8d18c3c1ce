"""Boxes on the model's input become boxes on the source picture."""

from __future__ import annotations

import numpy as np

from inferd.records import Array, Geometry


def to_source(boxes: Array, geometry: Geometry) -> tuple[Array, Array]:
    """Map boxes back and cut them at the picture's edge.

    Args:
        boxes: (n, 4) float y0, x0, y1, x1, normalised to the model's input.
        geometry: how the picture was laid out on it.

    Returns:
        (n, 4) float64 boxes normalised to the source, 0..1, and (n,) bool whether anything of each is left: what is not
        finite, inside out or outside of the picture is not.
    """
    scale = (geometry.scale_y, geometry.scale_x, geometry.scale_y, geometry.scale_x)
    offset = (geometry.offset_y, geometry.offset_x, geometry.offset_y, geometry.offset_x)
    mapped = np.clip(boxes * np.array(scale) + np.array(offset), 0.0, 1.0)
    return mapped, (mapped[:, 0] < mapped[:, 2]) & (mapped[:, 1] < mapped[:, 3])
