"""Motion JPEG over HTTP, read by ourselves: time-outs hold to the second, and half a picture is never shown as one.

OpenCV's FFmpeg gives a JPEG that was cut off as a picture with a grey lower half.
"""

from __future__ import annotations

import base64
import http.client
import select
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult

from inferd.errors import FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.records import Array, Frame
from inferd.sources.jpegs import Jpegs, decode_jpeg
from inferd.system.clock import Clock

READ_BYTES = 1 << 16
MOST_DAMAGED = 30  # pictures in a row
OK, MOVED = 200, range(300, 400)
REFUSED = (401, 403)
JPEG_TYPES = ("multipart/x-mixed-replace", "image/jpeg")


@dataclass(frozen=True, slots=True)
class Login:
    """Who we are to a camera; `username` is "" where it does not ask."""

    username: str = ""
    password: str = ""

    @property
    def header(self) -> dict[str, str]:
        """What is sent with a request."""
        if not self.username:
            return {}
        return {"Authorization": "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()}


class Answer:
    """An answer whose body is read as it comes. Owned by one source thread."""

    def __init__(self, part: str, url: SplitResult, login: Login, timeout_s: float) -> None:
        """Ask for it.

        Args:
            part: what to name in errors.
            url: what to ask for.
            login: who we are.
            timeout_s: how long each step of connecting may take.

        Raises:
            SourceError: there is no such camera, or it refuses.
        """
        kind = _Tls if url.scheme == "https" else _Plain
        self._connection = kind(url.hostname or "", url.port, timeout=timeout_s)
        try:
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            self._connection.request("GET", target, headers={"User-Agent": "inferd", **login.header})
            self._socket: socket.socket = self._connection.sock
            self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as exc:
            self._connection.close()
            raise SourceError(
                part, f"cannot be connected ({exc or type(exc).__name__}); check address and network"
            ) from exc
        self.content_type = self._response.headers.get_content_type()
        self._fresh = True
        if self._response.status != OK:
            self.close()
            raise SourceError(part, _refusal(self._response.status, self._response.reason))

    @property
    def is_jpeg(self) -> bool:
        """Whether it says that it is a stream of JPEGs."""
        return self.content_type in JPEG_TYPES

    def read(self, timeout_s: float) -> bytes | None:
        """Return what has come, b"" at the end, None where nothing came.

        Raises:
            OSError: the connection broke.
        """
        if not self._fresh and not self._arrived(timeout_s):
            return None
        self._fresh = False  # the first bytes may have come with the header, where no poll sees them
        return self._response.read1(READ_BYTES)

    def close(self) -> None:
        """Hang up. Twice is fine."""
        self._response.close()
        self._connection.close()

    def _arrived(self, timeout_s: float) -> bool:
        pending = getattr(self._socket, "pending", None)  # TLS has decrypted bytes that no poll sees
        if pending is not None and pending():
            return True
        readable = select.poll()
        readable.register(self._socket.fileno(), select.POLLIN)
        return bool(readable.poll(timeout_s * 1000))


class HttpJpeg:
    """Gives pictures (h, w, 3) uint8 BGR of a network camera."""

    live = True

    def __init__(self, part: str, answer: Answer, clock: Clock) -> None:
        """Take an answer over.

        Args:
            part: what to name in errors.
            answer: a stream of JPEGs.
            clock: stamps the frames.
        """
        self._part = part
        self._answer = answer
        self._clock = clock
        self._jpegs = Jpegs(part)
        self._seq = 0
        self._lost = 0
        self._closed = False

    def read(self, timeout_s: float) -> Frame:
        """Return the next picture.

        Raises:
            FrameUnfinished: some of it has come in `timeout_s`, not all.
            SourceTimeout: nothing has.
            FrameError: it was cut off, or is damaged.
            SourceError: it was closed, the camera has ended the stream, or sends no pictures.
        """
        if self._closed:
            raise SourceError(self._part, "was closed; open it again")
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        came = False
        while (picture := self._take()) is None:
            data = self._receive(max(0.0, (ends_ns - self._clock.monotonic_ns()) / 1e9))
            if data is None:
                raise (
                    FrameUnfinished(self._part, "a picture is on its way")
                    if came
                    else SourceTimeout(self._part, f"has sent nothing for {timeout_s:g} s")
                )
            came = True
            self._jpegs.feed(data)
        self._lost = 0
        self._seq += 1
        return Frame(picture, self._seq - 1, self._clock.monotonic_ns(), self._clock.wall_s())

    def close(self) -> None:
        """Hang up. Twice is fine."""
        self._closed = True
        self._answer.close()

    def _receive(self, timeout_s: float) -> bytes | None:
        try:
            data = self._answer.read(timeout_s)
        except (OSError, http.client.HTTPException) as exc:
            raise SourceError(self._part, f"the connection broke ({exc})") from exc
        if data == b"":
            raise SourceError(self._part, "the camera has ended the stream")
        return data

    def _take(self) -> Array | None:
        """Return the next whole picture, None where more must come.

        Raises:
            FrameError: it is damaged.
            SourceError: as many in a row.
        """
        try:
            jpeg = self._jpegs.take()
            return None if jpeg is None else decode_jpeg(self._part, jpeg)
        except FrameError as exc:
            self._lost += 1
            if self._lost >= MOST_DAMAGED:
                raise SourceError(exc.part, f"{exc.message} ({self._lost} in a row)") from exc
            raise


class _Plain(http.client.HTTPConnection):
    """Speaks HTTP/1.0, so that no server sends chunks, of which a buffer holds back the last bytes of a picture."""

    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"


class _Tls(http.client.HTTPSConnection):
    """As above, encrypted; the server's certificate is checked."""

    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"


def _refusal(status: int, reason: str) -> str:
    told = f"answers {status} {reason}"
    if status in REFUSED:
        return f"{told}; check username and password_file"
    if status in MOVED:
        return f"{told}; name the address that it points to"
    return f"{told}; check the address"
