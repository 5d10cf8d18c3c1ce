"""A video file, read by OpenCV.

FFmpeg and OpenCV write their complaints to standard error by themselves. The environment silences them, and only if it
is set before cv2 is imported: OPENCV_LOG_LEVEL=OFF and OPENCV_FFMPEG_LOGLEVEL=-8.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NoReturn

import cv2

from inferd.config import settings
from inferd.errors import EndOfInput, FrameError, SourceError
from inferd.foreign_text import printable
from inferd.records import Frame
from inferd.sources.decoding.picture_limit import check_pixels, most_pixels
from inferd.system.clock import Clock

FPS_RANGE = (0.01, 1000.0)  # outside of it, a container's frame rate is a guess or garbage
FPS_UNKNOWN = 25.0
GIVEN_SHARE = 0.9  # of the frames a container promises; some only estimate their number


class Video:
    """Reads pictures (h, w, 3) uint8 BGR, each with its position in the recording."""

    live = False

    def __init__(self, options: settings.VideoSource, clock: Clock, most: int = 0) -> None:
        """Open the file.

        Args:
            options: the path.
            clock: stamps the frames.
            most: pixels of a frame; 0 is what the board has memory for.

        Raises:
            SourceError: there is no such file, it is empty, no video, or its frames are too large.
        """
        self._path = options.path
        self._clock = clock
        self._capture = _open(options.path)
        self._most_pixels = most or most_pixels()
        self._check_size()
        fps = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = fps if FPS_RANGE[0] <= fps <= FPS_RANGE[1] else FPS_UNKNOWN
        """Frames per second that the file says; 25 where it says nothing sensible."""
        self._promised = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self._seq = 0
        self._position_s = -1.0
        self._reported_short = False
        self._closed = False

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - a file is decoded, not waited for
        """Return the next frame.

        Raises:
            FrameError: once, where the file gave clearly fewer frames than it promised.
            EndOfInput: all were read.
            SourceError: it was closed, or no frame at all could be decoded.
        """
        if self._closed:
            raise SourceError(self._path, "was closed; open it again")
        taken_ns, taken_at = self._clock.monotonic_ns(), self._clock.wall_s()
        there = self._capture.grab()
        self._check_size()
        there, picture = self._capture.retrieve() if there else (False, None)
        if not there or picture is None:
            self._end()
        seq = self._seq
        self._seq += 1
        return Frame(
            data=picture,
            seq=seq,
            taken_ns=taken_ns,
            taken_at=taken_at,
            capture_ns=self._clock.monotonic_ns() - taken_ns,
            origin=f"{printable(self._path)}#{seq}",
            position_s=self._position(seq),
        )

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._capture.release()

    def _check_size(self) -> None:
        width, height = (int(self._capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        check_pixels(self._path, width, height, self._most_pixels, SourceError)

    def _position(self, seq: int) -> float:
        """Return the frame's own time stamp where it moves on, as in a variable frame rate; else count frames."""
        stamp_s = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        if not math.isfinite(stamp_s) or stamp_s <= self._position_s:
            stamp_s = self._position_s + 1 / self.fps if seq else 0.0
        self._position_s = stamp_s
        return stamp_s

    def _end(self) -> NoReturn:
        """Raise how it ended: no frame at all, too few frames, or as it should."""
        if not self._seq:
            raise SourceError(self._path, "holds no frame that can be decoded; copy or convert it again")
        if self._seq < self._promised * GIVEN_SHARE and not self._reported_short:
            self._reported_short = True
            promised = f"{self._seq} of {self._promised:.0f} frames"
            raise FrameError(self._path, f"breaks off after {promised}; copy it again")
        raise EndOfInput(self._path, f"all {self._seq} frames were read")


def _open(path: str) -> cv2.VideoCapture:
    """Open a video file.

    Raises:
        SourceError: it is not there, empty or no video.
    """
    file = Path(path)
    if not file.is_file():
        raise SourceError(path, "no such video file; check the path")
    try:
        with file.open("rb") as opened:
            empty = not opened.read(1)
    except OSError as exc:
        raise SourceError(path, f"cannot be read ({exc.strerror}); check its permissions") from exc
    if empty:
        raise SourceError(path, "is empty; copy it again")
    capture = cv2.VideoCapture(str(file))
    if not capture.isOpened():
        raise SourceError(path, "is damaged or in a format that OpenCV cannot read; copy it again or convert it")
    return capture
