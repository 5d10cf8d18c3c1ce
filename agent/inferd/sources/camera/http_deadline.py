"""HTTP connections with one deadline for a whole exchange.

http.client's time-out is that of a single receive: a camera that sends a byte a second, or 100 Continue for ever, never
reaches it.
"""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from typing import Any

from inferd.sources.camera.address import CameraAddress

BUFFER_BYTES = 1 << 16


class Deadline:
    """When an exchange must be over, by the monotonic clock of the sockets."""

    def __init__(self, allowed_s: float) -> None:
        """Begin now."""
        self.allow(allowed_s)

    def allow(self, allowed_s: float) -> None:
        """Begin again."""
        self.allowed_s = allowed_s
        self._ends_s = time.monotonic() + allowed_s

    def left_s(self) -> float:
        """Return the seconds left, above 0.

        Raises:
            TimeoutError: none are left.
        """
        left_s = self._ends_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError("timed out")
        return left_s


class _DeadlineSocket:
    """The readable side of a socket as http.client asks for it; every receive ends at the deadline."""

    def __init__(self, connected: socket.socket, deadline: Deadline) -> None:
        self._connected = connected
        self._deadline = deadline

    def makefile(self, _mode: str) -> Any:  # Any: typeshed's BufferedReader wants more than it uses
        raw = self._connected.makefile("rb", buffering=0)  # keeps the socket open when http.client closes its own end
        return io.BufferedReader(_Receiver(self._connected, raw, self._deadline), BUFFER_BYTES)


class _Receiver(io.RawIOBase):
    def __init__(self, connected: socket.socket, raw: Any, deadline: Deadline) -> None:  # Any: as above
        self._connected = connected
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, room: Any) -> int | None:  # Any: a writable buffer, which Python 3.11 has no type for
        self._connected.settimeout(self._deadline.left_s())
        received: int | None = self._raw.readinto(room)
        return received

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Plain(http.client.HTTPConnection):
    """HTTP/1.0, so that most servers send no chunks, which may hold back the last bytes of a picture."""

    _http_vsn = 10
    _http_vsn_str = "HTTP/1.0"

    def __init__(self, address: CameraAddress, deadline: Deadline, tls: ssl.SSLContext | None) -> None:
        super().__init__(address.host, address.port or (443 if tls else 80), timeout=deadline.allowed_s)
        self._deadline = deadline
        self._tls = tls

    def connect(self) -> None:
        """Connect, encrypted where there is a context; the server's certificate is checked."""
        self.timeout = self._deadline.left_s()
        super().connect()
        self.sock.settimeout(self._deadline.left_s())
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self.host)

    def response_class(self, sock: Any, *args: Any, **kwargs: Any) -> http.client.HTTPResponse:  # type: ignore[override]  # Any: as http.client calls it
        return http.client.HTTPResponse(_DeadlineSocket(sock, self._deadline), *args, **kwargs)  # type: ignore[arg-type]  # all that it uses


def connection(address: CameraAddress, deadline: Deadline) -> http.client.HTTPConnection:
    """Return a connection to a camera, not yet connected; all of its exchange ends at the deadline."""
    tls = ssl.create_default_context() if address.scheme == "https" else None
    return _Plain(address, deadline, tls)
