"""Cameras on the network: HTTP motion JPEG by our own reader, everything else by OpenCV's FFmpeg.

FFmpeg may stay in a native read for longer than its time-outs say (9 s of 3 s were seen when an RTSP server was stopped).
That blocks only the thread of this source.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import cv2

from inferd.config import settings
from inferd.errors import SourceError
from inferd.plugins import Source
from inferd.records import Frame
from inferd.sources.camera.address import CameraAddress, parse
from inferd.sources.camera.http_auth import Login
from inferd.sources.camera.mjpeg_http import HttpBody, HttpJpeg, Snapshots, shortened
from inferd.sources.decoding.picture_limit import check_pixels, most_pixels
from inferd.system.clock import Clock
from inferd.system.files.password import read_password


def open_stream(options: settings.StreamSource, clock: Clock) -> Source:
    """Connect.

    Args:
        options: the address, login and time-outs.
        clock: stamps the frames.

    Raises:
        SourceError: it cannot be connected, or sends nothing that can be read.
    """
    address = parse(options.url)
    login = _login(options, address)
    if address.scheme in ("http", "https"):
        ask = partial(HttpBody, address, login, options.open_timeout_s, options.read_timeout_s)
        answer = ask()
        if answer.is_stream:
            return HttpJpeg(address.shown, answer, clock)
        answer.close()
        if answer.is_single:
            return Snapshots(address.shown, ask, options.fps, clock)
        if answer.is_no_video:
            kind = shortened(answer.content_type)
            raise SourceError(
                address.shown, f"cannot be opened: it answers with {kind}, which is no video; check the address"
            )
    return FfmpegStream(options, address, login, clock)


class FfmpegStream:
    """Reads pictures (h, w, 3) uint8 BGR of what FFmpeg can read; RTSP goes over TCP."""

    live = True

    def __init__(self, options: settings.StreamSource, address: CameraAddress, login: Login, clock: Clock) -> None:
        """Connect.

        Args:
            options: the time-outs.
            address: of the camera.
            login: for the camera.
            clock: stamps the frames.

        Raises:
            SourceError: it cannot be connected, or its pictures are too large.
        """
        self._part = address.shown
        self._clock = clock
        self._most_pixels = most_pixels()
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(options.open_timeout_s * 1000)]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(options.read_timeout_s * 1000)]
        self._capture = cv2.VideoCapture(address.url(login), cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            raise SourceError(self._part, "cannot be opened; check address, login, and that it is on the network")
        self._check_size()
        self._seq = 0
        self._closed = False

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - FFmpeg has its own time-out, given when it was opened
        """Return the next picture; may take longer than `timeout_s`.

        Raises:
            SourceError: it was closed, gives no more pictures, or they are too large.
        """
        if self._closed:
            raise SourceError(self._part, "was closed; open it again")
        there = self._capture.grab()
        taken_ns, taken_at = self._clock.monotonic_ns(), self._clock.wall_s()
        self._check_size()
        there, picture = self._capture.retrieve() if there else (False, None)
        if not there or picture is None:
            raise SourceError(self._part, f"gives no more pictures after {self._seq}; is it still on the network?")
        seq = self._seq
        self._seq += 1
        capture_ns = self._clock.monotonic_ns() - taken_ns
        return Frame(picture, seq, taken_ns, taken_at, capture_ns)

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._closed = True
        self._capture.release()

    def _check_size(self) -> None:
        width, height = (int(self._capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        check_pixels(self._part, width, height, self._most_pixels, SourceError)


def _login(options: settings.StreamSource, address: CameraAddress) -> Login:
    """Return the login of the options, else that of the address.

    Raises:
        SourceError: the password cannot be read.
    """
    if not options.username:
        return address.login
    if not options.password_file:
        return Login(options.username)
    try:
        return Login(options.username, read_password(Path(options.password_file)).text)
    except (OSError, ValueError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else exc
        raise SourceError(options.password_file, f"holds no password that can be read ({why})") from exc
