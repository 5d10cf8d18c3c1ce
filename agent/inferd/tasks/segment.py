"""What each part of a picture belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.records import Array, EngineInfo, Geometry, Mask, Overlay, Result
from inferd.tasks.postprocess.labels import Labels
from inferd.tasks.postprocess.scores import activate
from inferd.wire.manifest import ModelDescription

DEFAULT_THRESHOLD = 0.5
MOST_CLASSES = 255
NOTHING = 255  # of a class map: not painted
BACKGROUNDS = {"", "0", "background", "_background_"}  # what makers call the class of everything else


class Segment:
    """Reads the first output: the class of each cell, or its scores.

    (1, h, w) or (1, h, w, 1) of an integer type holds classes; (1, h, w, n) scores, of which the best counts; (1, h, w, 1)
    of floats, or of a quantised type, holds the score of the one class beside the background.
    """

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Find out how classes are told.

        Args:
            description: tells labels, and threshold and activation of a single score.
            info: tells the output's shape, scale and zero point.

        Raises:
            ModelError: the first output is no map.
        """
        shape = info.outputs[0].shape if info.outputs else ()
        if len(shape) not in (len("nhw"), len("nhwc")) or shape[0] != 1:
            raise ModelError(
                description.ref.name, f"gives {list(shape)}, but a segmentation is (1, h, w) or (1, h, w, n)"
            )
        said = description.manifest.output
        self._spec = info.outputs[0]
        self._threshold = DEFAULT_THRESHOLD if said.threshold is None else said.threshold
        self._activation = said.activation or "none"
        labels = Labels(description)
        self._names = tuple(labels[index] for index in range(MOST_CLASSES + 1))
        self._last: tuple[Array, Geometry] | None = None

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:
        """Return the map's shape and the share that each label has of what the model saw of the picture, largest first.

        Bars that were put around the picture count nowhere.
        """
        classes = self._classes(outputs[0][0])
        self._last = classes, geometry
        seen = classes[_inside(classes.shape[0], geometry.scale_y, geometry.offset_y)]
        seen = seen[:, _inside(classes.shape[1], geometry.scale_x, geometry.offset_x)]
        counts = np.bincount(seen.reshape(-1), minlength=1)
        found = np.flatnonzero(counts)
        found = found[np.argsort(-counts[found], kind="stable")]
        shares = counts[found] / max(seen.size, 1)
        named: dict[str, float] = {}
        for index, share in zip(found.tolist(), shares.tolist(), strict=True):
            name = self._names[index]
            named[name] = named.get(name, 0.0) + share
        return Result(mask=Mask((classes.shape[0], classes.shape[1]), named))

    def overlay(self) -> Overlay | None:
        """Return the last map, its background left out."""
        if self._last is None:
            return None
        classes, geometry = self._last
        painted = [NOTHING if name.lower() in BACKGROUNDS else at for at, name in enumerate(self._names)]
        return Overlay(np.array(painted, np.uint8)[classes], self._names, geometry)

    def _classes(self, cells: Array) -> Array:
        """Return (h, w) uint8 classes of (h, w), (h, w, 1) or (h, w, n) cells; what is above 255 counts as 255."""
        if cells.ndim == len("hwc") and cells.shape[2] > 1:
            best: Array = cells.argmax(axis=2).astype(
                np.uint8
            )  # scale is positive: raw numbers lie in the scores' order
            return best
        cells = cells.reshape(cells.shape[:2])
        if cells.dtype.kind in "iu" and not self._spec.quantized:
            classes: Array = np.minimum(cells, MOST_CLASSES).astype(np.uint8)
            return classes
        scores = activate(dequantize(cells.reshape(-1), self._spec), self._activation)
        return (scores >= self._threshold).astype(np.uint8).reshape(cells.shape)


def _inside(cells: int, scale: float, offset: float) -> slice:
    """Return the cells of one axis whose middles lie on the source picture."""
    middles = (np.arange(cells) + 0.5) / cells * scale + offset
    on = np.flatnonzero((middles >= 0) & (middles <= 1))
    return slice(int(on[0]), int(on[-1]) + 1) if on.size else slice(0, 0)
