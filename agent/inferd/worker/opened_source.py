"""A source that is open, as its source thread sees it: whatever goes wrong inside of it is a SourceError of this pipeline.

A source parses foreign bytes with libraries that raise more than they document. One pipeline then waits and is reopened;
the others must not notice.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from inferd.config import settings
from inferd.config.settings import kind_of
from inferd.errors import SourceError
from inferd.plugins import SOURCES, Source, find
from inferd.records import Array, Frame
from inferd.system.clock import Clock
from inferd.system.urls import shown_url

log = logging.getLogger(__name__)

PATHS = ("path", "device")
TURNS = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
MIRRORS = {"horizontal": 1, "vertical": 0}
GREY = 128  # of all channels: a black area would count as a dark picture
Adjust = Callable[[Array], Array]


class OpenedSource:
    """Owned by one source thread, which closes it."""

    def __init__(self, options: settings.Source, clock: Clock, adjust: Adjust | None = None) -> None:
        """Open the source that a `[pipeline.source]` table describes.

        Args:
            options: the table.
            clock: stamps the frames.
            adjust: turns and masks each picture.

        Raises:
            SourceError: it cannot be opened.
        """
        self._part = part_of(options)
        self._adjust = adjust
        make = find("source", SOURCES, kind_of(options))
        try:
            self.inner: Source = make(options, clock)
        except SourceError:
            raise
        except OSError as exc:  # a folder without permission, a name that is too long
            raise SourceError(self._part, f"cannot be opened ({exc.strerror or exc})") from exc
        except Exception as exc:
            raise self._unforeseen(exc) from exc
        self.live = self.inner.live

    def read(self, timeout_s: float) -> Frame:
        """Return the next frame.

        Raises:
            SourceError: and its kinds, as `Source.read` says.
        """
        try:
            frame = self.inner.read(timeout_s)
            if self._adjust is not None and getattr(frame.data, "dtype", None) == "uint8":
                frame = replace(frame, data=self._adjust(frame.data))  # type: ignore[arg-type]  # an array has a dtype
        except SourceError:
            raise
        except OSError as exc:
            raise SourceError(self._part, f"cannot be read ({exc.strerror or type(exc).__name__})") from exc
        except Exception as exc:
            raise self._unforeseen(exc) from exc
        return frame

    def close(self) -> None:
        """Close it. What goes wrong is logged: the source is of no more use anyway."""
        try:
            self.inner.close()
        except Exception as exc:  # noqa: BLE001 - whatever a library raises, the source is given up
            log.warning("%s", self._unforeseen(exc))

    def _unforeseen(self, exc: Exception) -> SourceError:
        """Return an error that names where it was raised; not its text, which may quote a password."""
        if isinstance(exc, MemoryError):
            return SourceError(self._part, "needs more memory than there is; make its pictures or windows smaller")
        where = traceback.extract_tb(exc.__traceback__)[-1]
        told = f"{type(exc).__name__} in {Path(where.filename).name}, line {where.lineno}"
        return SourceError(self._part, f"cannot be read ({told}); please report this as a bug of inferd")


def part_of(options: settings.Source) -> str:
    """Return the name of a source for messages, without secrets."""
    if isinstance(options, settings.StreamSource):
        return shown_url(options.url)
    return next((found for key in PATHS if (found := str(getattr(options, key, "")))), kind_of(options))


class Adjustment:
    """Owned by one source thread."""

    def __init__(self, rotate: int, flip: str, masks: Sequence[settings.MaskConfig]) -> None:
        """Prepare.

        Args:
            rotate: degrees clockwise.
            flip: "none", "horizontal" or "vertical".
            masks: areas to fill, on the picture that is turned already.
        """
        self._rotate = rotate
        self._flip = flip
        self._polygons = [np.array(mask.points, np.float64) for mask in masks]

    def __call__(self, picture: Array) -> Array:
        """Return the picture (h, w, 3) or (h, w) uint8 turned and with its masks filled; may write into it."""
        picture = oriented(picture, self._rotate, self._flip)
        if not self._polygons:
            return picture
        if not (picture.flags.writeable and picture.flags.c_contiguous):
            picture = picture.copy()
        height, width = picture.shape[:2]
        for polygon in self._polygons:
            corners = np.round(polygon * (height, width))[:, ::-1].astype(np.int32)
            cv2.fillPoly(picture, [corners], (GREY, GREY, GREY))
        return picture


def adjustment(pipeline: settings.Pipeline) -> Callable[[Array], Array] | None:
    """Return what is to be done to each picture of a pipeline; None where nothing is."""
    rotate, flip = getattr(pipeline.source, "rotate", 0), getattr(pipeline.source, "flip", "none")
    masks = [mask for mask in pipeline.mask if mask.use == "privacy"]
    return Adjustment(rotate, flip, masks) if rotate or flip != "none" or masks else None


def oriented(picture: Array, rotate: int, flip: str) -> Array:
    """Return a picture (h, w, 3) or (h, w) uint8 turned clockwise by `rotate` degrees, then mirrored."""
    turned: Array = cv2.rotate(picture, TURNS[rotate]) if rotate else picture
    mirrored: Array = cv2.flip(turned, MIRRORS[flip]) if flip in MIRRORS else turned
    return mirrored
