"""What each part of a picture belongs to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.picture_input import picture_shape
from inferd.records import Array, EngineInfo, Geometry, Mask, Overlay, Result
from inferd.tasks.postprocess.labels import Labels
from inferd.tasks.postprocess.scores import activate, require_scores
from inferd.wire.manifest import ModelDescription

DEFAULT_THRESHOLD = 0.5
MOST_CLASSES = 65_534  # a class map is kept as uint16; what is above counts as this
NOTHING = 65_535  # in an overlay: not painted
BACKGROUNDS = {"", "0", "background", "_background_"}  # what makers call the class of everything else


class Segment:
    """Reads the first output: the class of each cell, or its scores.

    An integer map, (1, h, w), (1, h, w, 1) or (1, 1, h, w), holds classes, unless its values are quantised scores.
    (1, h, w, n) and (1, n, h, w) hold scores, of which the best counts. One score for each cell is that of the class beside
    the background.
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
                description.ref.name,
                f"gives {list(shape)}, but a segmentation is (1, h, w), (1, h, w, n) or (1, n, h, w)",
            )
        said = description.manifest.output
        self._spec = info.outputs[0]
        made_by = description.facts.outputs[0].made_by if description.facts.outputs else ""
        self._is_map = np.dtype(self._spec.dtype).kind in "iu" and (made_by == "ARG_MAX" or not self._spec.quantized)
        self._channels_first = _channels_first(shape, description, info, is_map=self._is_map)
        self._threshold = DEFAULT_THRESHOLD if said.threshold is None else said.threshold
        self._activation = said.activation or "none"
        self._labels = Labels(description)
        self._name = description.ref.name
        self._last: tuple[Array, Geometry] | None = None

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:
        """Return the map's shape and the share that each label has of what the model saw of the picture, largest first.

        Bars that were put around the picture count nowhere.

        Raises:
            ModelError: single scores lie outside of 0..1.
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
            name = self._labels[index]
            named[name] = named.get(name, 0.0) + share
        return Result(mask=Mask((classes.shape[0], classes.shape[1]), named))

    def overlay(self) -> Overlay | None:
        """Return the last map, its background left out."""
        if self._last is None:
            return None
        classes, geometry = self._last
        names = tuple(self._labels[index] for index in range(int(classes.max(initial=0)) + 1))
        painted = [NOTHING if name.lower() in BACKGROUNDS else at for at, name in enumerate(names)]
        return Overlay(np.array(painted, np.uint16)[classes], names, geometry)

    def _classes(self, cells: Array) -> Array:
        """Return (h, w) uint16 classes of (h, w), (h, w, n) or (n, h, w) cells."""
        if cells.ndim == len("hwc"):
            axis = 0 if self._channels_first else 2
            if cells.shape[axis] > 1:
                best: Array = cells.argmax(axis=axis).astype(np.uint16)  # scale is positive: raw numbers keep the order
                return best
            cells = cells.squeeze(axis)
        if self._is_map:
            classes: Array = np.clip(cells, 0, MOST_CLASSES).astype(np.uint16)
            return classes
        scores = activate(dequantize(cells.reshape(-1), self._spec), self._activation)
        require_scores(scores, self._name, "its cells")
        return (scores >= self._threshold).astype(np.uint16).reshape(cells.shape)


def _channels_first(shape: tuple[int, ...], description: ModelDescription, info: EngineInfo, *, is_map: bool) -> bool:
    """Whether the second axis of a map of four is that of classes: by an axis of 1, the labels, the input's layout, its sides."""
    if len(shape) != len("nhwc"):
        return False
    first, last = shape[1], shape[3]
    if is_map or 1 in (first, last):
        return last != 1 and first == 1
    classes = len(description.labels)
    if classes and (first == classes) != (last == classes):
        return first == classes
    picture = picture_shape(info.inputs[0].shape, description.manifest.input.layout) if info.inputs else None
    return picture is not None and picture.planar


def _inside(cells: int, scale: float, offset: float) -> slice:
    """Return the cells of one axis whose middles lie on the source picture."""
    middles = (np.arange(cells) + 0.5) / cells * scale + offset
    on = np.flatnonzero((middles >= 0) & (middles <= 1))
    return slice(int(on[0]), int(on[-1]) + 1) if on.size else slice(0, 0)
