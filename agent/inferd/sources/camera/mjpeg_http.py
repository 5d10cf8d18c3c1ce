"""Motion JPEG over HTTP, read by ourselves: time-outs hold to the second, and half a picture is never shown as one.

OpenCV's FFmpeg gives a JPEG that was cut off as a picture with a grey lower half.
"""

from __future__ import annotations

import http.client
import select
import socket
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import SplitResult

from inferd.errors import FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.records import Array, Frame
from inferd.sources.camera.http_auth import Login
from inferd.sources.decoding.mjpeg import MjpegReader, decode_jpeg
from inferd.system.clock import Clock

READ_BYTES = 1 << 16
MOST_DAMAGED = 30  # pictures in a row
OK, MOVED = 200, range(300, 400)
REFUSED = (401, 403)
STREAM, SINGLE = "multipart/x-mixed-replace", "image/jpeg"
ASKED = 401


class HttpBody:
    """An answer whose body is read as it comes. Owned by one source thread."""

    def __init__(self, part: str, url: SplitResult, login: Login, timeout_s: float) -> None:
        """Ask for it.

        Args:
            part: named in errors.
            url: what to ask for.
            login: who we are.
            timeout_s: how long each step of connecting may take.

        Raises:
            SourceError: there is no such camera, or it refuses.
        """
        self._ask(part, url, login, timeout_s)
        if self._response.status == ASKED and login.accept(self._response.headers.get_all("WWW-Authenticate") or []):
            self.close()
            self._ask(part, url, login, timeout_s)
        self.content_type = self._response.headers.get_content_type()
        self._fresh = True
        if self._response.status != OK:
            self.close()
            raise SourceError(part, _refusal(self._response.status, self._response.reason))

    def _ask(self, part: str, url: SplitResult, login: Login, timeout_s: float) -> None:
        kind = _Tls if url.scheme == "https" else _Plain
        self._connection = kind(url.hostname or "", url.port, timeout=timeout_s)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        known = login.headers(f"{url.scheme}://{url.hostname}{target}")
        try:
            self._connection.request("GET", target, headers={"User-Agent": "inferd", **known})
            self._socket: socket.socket = self._connection.sock
            self._response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as exc:
            self._connection.close()
            raise SourceError(
                part, f"cannot be connected ({exc or type(exc).__name__}); check address and network"
            ) from exc

    @property
    def is_stream(self) -> bool:
        """Whether it says that it is picture after picture."""
        return self.content_type == STREAM

    @property
    def is_single(self) -> bool:
        """Whether it says that it is one picture."""
        return self.content_type == SINGLE

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
        """Disconnect. Idempotent."""
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

    def __init__(self, part: str, answer: HttpBody, clock: Clock) -> None:
        """Take an answer over.

        Args:
            part: named in errors.
            answer: a stream of JPEGs.
            clock: stamps the frames.
        """
        self._part = part
        self._answer = answer
        self._clock = clock
        self._jpegs = MjpegReader(part)
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
        while (picture := self._next_picture()) is None:
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
        """Disconnect. Idempotent."""
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

    def _next_picture(self) -> Array | None:
        """Return the next whole picture, None where more must come.

        Raises:
            FrameError: it is damaged.
            SourceError: as many in a row.
        """
        try:
            jpeg = self._jpegs.pop_jpeg()
            return None if jpeg is None else decode_jpeg(self._part, jpeg)
        except FrameError as exc:
            self._lost += 1
            if self._lost >= MOST_DAMAGED:
                raise SourceError(exc.part, f"{exc.message} ({self._lost} in a row)") from exc
            raise


class Snapshots:
    """Gives pictures of a camera that sends one for each request."""

    live = True

    def __init__(self, part: str, ask: Callable[[], HttpBody], fps: float, clock: Clock) -> None:
        """Ask for nothing yet.

        Args:
            part: named in errors.
            ask: asks the camera for a picture.
            fps: how many a second, at most.
            clock: stamps the frames.

        Raises:
            SourceError: `fps` is no rate.
        """
        if not fps > 0:
            raise SourceError(part, f"fps is {fps:g}; a camera that gives single pictures is asked so often a second")
        self._part = part
        self._ask = ask
        self._interval_ns = round(1e9 / fps)
        self._clock = clock
        self._due_ns = clock.monotonic_ns()
        self._shot: HttpJpeg | None = None
        self._seq = 0
        self._closed = False

    def read(self, timeout_s: float) -> Frame:
        """Return the next picture; asking for it may take longer than `timeout_s`.

        Raises:
            FrameUnfinished: its time has not come, or some of it has come, not all.
            SourceTimeout: nothing has.
            FrameError: it was cut off, or is damaged.
            SourceError: it was closed, or the camera refuses.
        """
        if self._closed:
            raise SourceError(self._part, "was closed; open it again")
        if self._shot is None:
            self._wait_until_due(timeout_s)
            self._due_ns = max(self._due_ns + self._interval_ns, self._clock.monotonic_ns())
            self._shot = HttpJpeg(self._part, self._ask(), self._clock)
        try:
            frame = self._shot.read(timeout_s)
        except FrameError:
            self._drop_shot()
            raise
        self._drop_shot()
        self._seq += 1
        return replace(frame, seq=self._seq - 1)

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._closed = True
        self._drop_shot()

    def _wait_until_due(self, timeout_s: float) -> None:
        left_s = (self._due_ns - self._clock.monotonic_ns()) / 1e9
        self._clock.pause(max(0.0, min(left_s, timeout_s)))
        if left_s > timeout_s:
            raise FrameUnfinished(self._part, "its next picture is not due")

    def _drop_shot(self) -> None:
        if self._shot is not None:
            self._shot.close()
        self._shot = None


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
