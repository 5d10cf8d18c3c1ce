"""V4L2 cameras, read by OpenCV after format and size are negotiated."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cv2

from inferd.config import settings
from inferd.errors import SourceError, SourceTimeout
from inferd.records import Frame
from inferd.sources.camera import v4l2_formats
from inferd.sources.camera.v4l2_formats import Mode
from inferd.sources.decoding.picture_limit import check_pixels, most_pixels
from inferd.system.clock import Clock

READ_TIMEOUT_S = 2.0  # a streaming camera is far quicker; OpenCV's default is 10 s
MOST_LISTED = 8
BUFFERS = 2  # the fewest that let a driver fill one while another is read; keeps frames young


class V4l2:
    """Reads pictures (h, w, 3) uint8 BGR."""

    live = True

    def __init__(self, options: settings.V4l2Source, clock: Clock) -> None:
        """Negotiate format and size, and start the camera.

        Args:
            options: the camera, its size and rate.
            clock: stamps the frames.

        Raises:
            SourceError: it is absent, busy, not permitted, or has no readable format.
        """
        self._path = options.path
        self._clock = clock
        self._device = os.path.realpath(options.path)  # a stick that comes back may have another number behind its id
        self.mode = negotiate(options, self._device)
        """The negotiated format and size."""
        check_pixels(self._path, self.mode.width, self.mode.height, most_pixels(), SourceError)
        self._capture = _start(self._path, self._device, self.mode, options.fps)
        self._seq = 0
        self._closed = False

    def read(self, timeout_s: float) -> Frame:
        """Return the next picture; may take up to 2 s whatever `timeout_s` says.

        Raises:
            SourceTimeout: none came, though the camera is there.
            SourceError: it was closed, or has been unplugged.
        """
        if self._closed:
            raise SourceError(self._path, "was closed; open it again")
        there = self._capture.grab()
        taken_ns, taken_at = self._clock.monotonic_ns(), self._clock.wall_s()
        there, picture = self._capture.retrieve() if there else (False, None)
        if not there or picture is None:
            if not Path(self._device).exists():
                raise SourceError(self._path, "has been unplugged; plug it in again")
            self._clock.pause(min(timeout_s, READ_TIMEOUT_S) / 10)  # a refusal may come at once; prevents a busy loop
            raise SourceTimeout(self._path, "gives no picture")
        seq = self._seq
        self._seq += 1
        return Frame(picture, seq, taken_ns, taken_at, self._clock.monotonic_ns() - taken_ns)

    def close(self) -> None:
        """Release the camera. Idempotent."""
        self._closed = True
        self._capture.release()


def negotiate(options: settings.V4l2Source, device: str) -> Mode:
    """Negotiate a format and size.

    Raises:
        SourceError: there is no such camera, or none of its formats can be read.
    """
    fd = _open(options.path, device)
    try:
        if not v4l2_formats.can_capture(fd):
            raise SourceError(
                options.path, "gives no pictures, only data about them; take the camera's other node (index0)"
            )
        there = v4l2_formats.modes(fd, options.width, options.height)
    except OSError as exc:
        raise SourceError(options.path, f"is no camera ({exc.strerror}); see `ls /dev/v4l/by-id`") from exc
    finally:
        os.close(fd)
    chosen = v4l2_formats.choose(there, options.width, options.height, options.fps, options.fourcc)
    if chosen is None:
        wanted = options.fourcc or "a format that can be read"
        raise SourceError(options.path, f"does not give {wanted}; it gives {_listed(there)}")
    return chosen


def _open(path: str, device: str) -> int:
    try:
        return v4l2_formats.open_node(device)
    except FileNotFoundError:
        cameras = ", ".join(sorted(str(node) for node in Path("/dev").glob("video*"))) or "none at all"
        raise SourceError(path, f"there is no such camera; there is {cameras}. Plug it in, or check the path") from None
    except PermissionError:
        raise SourceError(path, "may not be opened; add inferd's user to the group video") from None
    except OSError as exc:
        raise SourceError(path, f"cannot be opened ({exc.strerror}); unplug it and plug it in again") from exc


def _start(path: str, device: str, mode: Mode, fps: float) -> cv2.VideoCapture:
    wishes = [cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*mode.fourcc)]
    wishes += [cv2.CAP_PROP_FRAME_WIDTH, mode.width, cv2.CAP_PROP_FRAME_HEIGHT, mode.height]
    wishes += [cv2.CAP_PROP_BUFFERSIZE, BUFFERS]
    capture = cv2.VideoCapture(device, cv2.CAP_V4L2, wishes)
    if not capture.isOpened():
        raise SourceError(path, "is busy or refuses to start; end the other program that uses it (fuser -v shows it)")
    capture.set(cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_S * 1000)
    if fps > 0:
        capture.set(cv2.CAP_PROP_FPS, fps)
    return capture


def _listed(there: Sequence[Mode]) -> str:
    names = sorted({mode.fourcc for mode in there})
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more or "nothing"
