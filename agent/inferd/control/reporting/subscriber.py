"""A connection that gets a stream of packets. One that reads too slowly misses packets, then is closed; nothing waits."""

from __future__ import annotations

import fcntl
import socket
import struct
import termios
from array import array

import msgspec

from inferd.system.clock import Clock
from inferd.wire.requests import DroppedPackets

MOST_SUBSCRIBERS = 16
SLOW_S = 10.0  # without reading anything, after which a subscriber is closed
BUFFER_BYTES = 128 * 1024  # of packets that a subscriber has not read yet


class StreamSubscriber:
    """Owned by control's main thread.

    Attributes:
        gone: whether the connection is closed.
        dropped: packets missed since the last one that was sent.
    """

    def __init__(self, connection: socket.socket, clock: Clock) -> None:
        """Take over a connection."""
        self.gone = False
        self.dropped = 0
        self._connection = connection
        self._clock = clock
        self._slow_since_ns = 0
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)

    @property
    def has_read_all(self) -> bool:
        """Whether everything that was sent has been read."""
        try:
            (unread,) = struct.unpack("i", fcntl.ioctl(self._connection, termios.TIOCOUTQ, b"\0" * 4))
        except OSError:
            return False
        return bool(unread == 0)

    def offer(self, packet: bytes, fd: int | None = None) -> None:
        """Send a packet if there is room, after a word on those that were missed; else count it as missed."""
        if self.gone:
            return
        if self.dropped and self._send(msgspec.json.encode(DroppedPackets(self.dropped))):
            self.dropped = 0
        if self.dropped or not self._send(packet, fd):
            self.miss()
        else:
            self._slow_since_ns = 0

    def miss(self) -> None:
        """Count a packet as missed; close a connection from which nothing was read for a while."""
        now_ns = self._clock.monotonic_ns()
        self.dropped += 1
        self._slow_since_ns = self._slow_since_ns or now_ns
        if now_ns - self._slow_since_ns > SLOW_S * 1e9:
            self.close()

    def check(self) -> None:
        """Close the connection if the other end is gone; what it sends is not read."""
        try:
            if not self._connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK):
                self.close()
        except BlockingIOError:
            pass
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the connection. Idempotent."""
        self.gone = True
        self._connection.close()

    def _send(self, packet: bytes, fd: int | None = None) -> bool:
        rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))]
        try:
            self._connection.sendmsg([packet], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except BlockingIOError:
            return False
        except (BrokenPipeError, ConnectionError):
            self.close()
            return False
        except OSError:  # no memory, or too many descriptors under way
            return False
        return True
