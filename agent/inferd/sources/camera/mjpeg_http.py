"""Motion JPEG over HTTP, read by ourselves: time-outs hold to the second, and half a picture is never returned.

OpenCV's FFmpeg returns a JPEG that was cut off as a picture with a grey lower half.
"""

from __future__ import annotations

import http.client
import select
import socket
from collections.abc import Callable
from dataclasses import replace

from inferd.errors import FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.foreign_text import printable
from inferd.records import Array, Frame
from inferd.sources.camera.address import CameraAddress
from inferd.sources.camera.http_auth import Login
from inferd.sources.camera.http_deadline import Deadline, connection
from inferd.sources.decoding.mjpeg import MjpegReader, decode_jpeg
from inferd.sources.decoding.picture_limit import most_pixels
from inferd.system.clock import Clock

READ_BYTES = 1 << 16
MOST_DAMAGED = 30  # pictures in a row
MOST_SHOWN = 80  # characters of a foreign text
LONGEST_PICTURE_S = 30.0  # from its first byte to its last; a slower camera counts as silent
OK, MOVED = 200, range(300, 400)
REFUSED = (401, 403)
STREAM = ("multipart/x-mixed-replace", "multipart/mixed")
SINGLE = ("image/jpeg", "image/jpg", "image/pjpeg")
NO_VIDEO = ("image/", "text/", "audio/", "application/json", "application/xml", "application/xhtml")
ASKED = 401


class HttpBody:
    """An answer whose body is read as it comes. Owned by one source thread."""

    def __init__(self, address: CameraAddress, login: Login, open_timeout_s: float, read_timeout_s: float) -> None:
        """Ask for it.

        Args:
            address: of the camera.
            login: for the camera.
            open_timeout_s: how long connecting, TLS, headers and a login may take together.
            read_timeout_s: how long one read of the body may take.

        Raises:
            SourceError: there is no such camera, it refuses, or does not answer in time.
        """
        deadline = Deadline(open_timeout_s)
        self._read_timeout_s = read_timeout_s
        self._ask(address, login, deadline)
        if self._response.status == ASKED and login.accept(self._response.headers.get_all("WWW-Authenticate") or []):
            self.close()
            self._ask(address, login, deadline)
        self.content_type = self._response.headers.get_content_type()
        self._fresh = True
        if self._response.status != OK:
            self.close()
            raise SourceError(address.shown, _refusal(self._response.status, self._response.reason))

    def _ask(self, address: CameraAddress, login: Login, deadline: Deadline) -> None:
        self._deadline = deadline
        self._connection = connection(address, deadline)
        known = login.headers(f"{address.scheme}://{address.host}{address.target}")
        headers: dict[str, str | bytes] = {
            "User-Agent": "inferd",
            **{key: text.encode() for key, text in known.items()},
        }
        try:
            self._connection.request("GET", address.target, headers=headers)
            self._socket: socket.socket = self._connection.sock
            self._response = self._connection.getresponse()
        except ValueError as exc:  # its text would quote the login
            self._connection.close()
            raise SourceError(
                address.shown, "has a login that HTTP cannot carry; check username and password_file"
            ) from exc
        except (OSError, http.client.HTTPException) as exc:
            self._connection.close()
            why = (
                f"no whole answer in {deadline.allowed_s:g} s" if isinstance(exc, TimeoutError) else shortened(str(exc))
            )
            raise SourceError(
                address.shown, f"cannot be connected ({why or type(exc).__name__}); check address and network"
            ) from exc

    @property
    def is_stream(self) -> bool:
        """Whether its content type is a stream of pictures."""
        return self.content_type in STREAM

    @property
    def is_single(self) -> bool:
        """Whether its content type is one picture."""
        return self.content_type in SINGLE

    @property
    def is_no_video(self) -> bool:
        """Whether its content type is something that holds no video."""
        return self.content_type.startswith(NO_VIDEO)

    def read(self, timeout_s: float) -> bytes | None:
        """Return received bytes, b"" at the end, None where nothing came.

        Raises:
            OSError: the connection broke.
        """
        if not self._fresh and not self._arrived(timeout_s):
            return None
        self._fresh = False  # the first bytes may have come with the header, where no poll sees them
        self._deadline.allow(self._read_timeout_s)
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
    """Reads pictures (h, w, 3) uint8 BGR of a network camera."""

    live = True

    def __init__(self, part: str, answer: HttpBody, clock: Clock) -> None:
        """Take over an answer.

        Args:
            part: named in errors.
            answer: a stream of JPEGs.
            clock: stamps the frames.
        """
        self._part = part
        self._answer = answer
        self._clock = clock
        self._jpegs = MjpegReader(part)
        self._most_pixels = most_pixels()
        self._began_ns = clock.monotonic_ns()
        self._seq = 0
        self._lost = 0
        self._closed = False

    def read(self, timeout_s: float) -> Frame:
        """Return the next picture.

        Raises:
            FrameUnfinished: only a part of it came in `timeout_s`.
            SourceTimeout: nothing came.
            FrameError: it was cut off, is damaged, or claims too many pixels.
            SourceError: it was closed, the camera has ended the stream, sends no pictures, or sends one too slowly.
        """
        if self._closed:
            raise SourceError(self._part, "was closed; open it again")
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        came = False
        while (picture := self._next_picture()) is None:
            data = self._receive(max(0.0, (ends_ns - self._clock.monotonic_ns()) / 1e9))
            if self._clock.monotonic_ns() - self._began_ns > LONGEST_PICTURE_S * 1e9 and (came or data):
                raise SourceError(self._part, f"has sent no whole picture in {LONGEST_PICTURE_S:g} s")
            if data is None:
                raise (
                    FrameUnfinished(self._part, "a picture is on its way")
                    if came
                    else SourceTimeout(self._part, f"has sent nothing for {timeout_s:g} s")
                )
            came = True
            self._jpegs.feed(data)
        self._lost = 0
        self._began_ns = self._clock.monotonic_ns()
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
            return None if jpeg is None else decode_jpeg(self._part, jpeg, self._most_pixels)
        except FrameError as exc:
            self._lost += 1
            if self._lost >= MOST_DAMAGED:
                raise SourceError(exc.part, f"{exc.message} ({self._lost} in a row)") from exc
            raise


class Snapshots:
    """Reads pictures of a camera that sends one for each request."""

    live = True

    def __init__(self, part: str, ask: Callable[[], HttpBody], fps: float, clock: Clock) -> None:
        """Ask for nothing yet.

        Args:
            part: named in errors.
            ask: requests a picture.
            fps: requests a second, at most.
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
            FrameUnfinished: it is not due, or only a part of it has come.
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


def shortened(text: str) -> str:
    """Return the first characters of a foreign text, on one line."""
    return " ".join(printable(text[:MOST_SHOWN]).split())


def _refusal(status: int, reason: str) -> str:
    told = f"answers {status} {shortened(reason)}"
    if status in REFUSED:
        return f"{told}; check username and password_file"
    if status in MOVED:
        return f"{told}; name the address that it points to"
    return f"{told}; check the address"
