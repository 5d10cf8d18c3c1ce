"""Cameras on the network: HTTP motion JPEG by our own reader, everything else by OpenCV's FFmpeg.

FFmpeg may stay in a native read for longer than its time-outs say (9 s of 3 s were seen when an RTSP server was stopped).
That holds up nobody but the thread of this source.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from urllib.parse import SplitResult, quote, unquote, urlsplit

import cv2

from inferd.config import settings
from inferd.errors import SourceError
from inferd.plugins import Source
from inferd.records import Frame
from inferd.sources.camera.http_auth import Login
from inferd.sources.camera.mjpeg_http import HttpBody, HttpJpeg, Snapshots
from inferd.system.clock import Clock
from inferd.system.files.password import read_password

SCHEMES = ("rtsp", "rtsps", "http", "https")


def open_stream(options: settings.StreamSource, clock: Clock) -> Source:
    """Connect.

    Args:
        options: the address, who we are, the time-outs.
        clock: stamps the frames.

    Raises:
        SourceError: it cannot be connected, or sends nothing that can be read.
    """
    url = urlsplit(options.url)
    if url.scheme not in SCHEMES or not url.hostname:
        raise SourceError(plain(url), f"is no address of a camera; it begins with one of {', '.join(SCHEMES)} and ://")
    login = _login(options, url)
    if url.scheme in ("http", "https"):
        ask = partial(HttpBody, plain(url), url, login, options.open_timeout_s)
        answer = ask()
        if answer.is_stream:
            return HttpJpeg(plain(url), answer, clock)
        answer.close()
        if answer.is_single:
            return Snapshots(plain(url), ask, options.fps, clock)
    return FfmpegStream(options, url, login, clock)


class FfmpegStream:
    """Gives pictures (h, w, 3) uint8 BGR of what FFmpeg can read; RTSP goes over TCP."""

    live = True

    def __init__(self, options: settings.StreamSource, url: SplitResult, login: Login, clock: Clock) -> None:
        """Connect.

        Args:
            options: the time-outs.
            url: the address.
            login: who we are.
            clock: stamps the frames.

        Raises:
            SourceError: it cannot be connected.
        """
        self._part = plain(url)
        self._clock = clock
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(options.open_timeout_s * 1000)]
        limits += [cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(options.read_timeout_s * 1000)]
        self._capture = cv2.VideoCapture(_with(login, url), cv2.CAP_FFMPEG, limits)
        if not self._capture.isOpened():
            raise SourceError(self._part, "cannot be opened; check address, login, and that it is on the network")
        self._seq = 0
        self._closed = False

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - FFmpeg has its own time-out, given when it was opened
        """Return the next picture; may take longer than `timeout_s`.

        Raises:
            SourceError: it was closed, or gives no more pictures.
        """
        if self._closed:
            raise SourceError(self._part, "was closed; open it again")
        there = self._capture.grab()
        taken_ns, taken_at = self._clock.monotonic_ns(), self._clock.wall_s()
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


def plain(url: SplitResult) -> str:
    """Return the address without a login in it."""
    host = url.netloc.rpartition("@")[2]
    return url._replace(netloc=host).geturl()


def _login(options: settings.StreamSource, url: SplitResult) -> Login:
    """Return who we are: as the options say, else as the address does.

    Raises:
        SourceError: the password cannot be read.
    """
    if not options.username:
        return Login(unquote(url.username or ""), unquote(url.password or ""))
    if not options.password_file:
        return Login(options.username)
    try:
        return Login(options.username, read_password(Path(options.password_file)).text)
    except (OSError, ValueError) as exc:
        raise SourceError(options.password_file, f"holds no password that can be read ({exc})") from exc


def _with(login: Login, url: SplitResult) -> str:
    """Return the address as FFmpeg wants it, login included."""
    if not login.username:
        return url.geturl()
    host = url.netloc.rpartition("@")[2]
    return url._replace(netloc=f"{quote(login.username, safe='')}:{quote(login.password, safe='')}@{host}").geturl()
