"""Messages between two of our processes: msgpack over a socket pair, file descriptors beside them.

A message is one packet (SOCK_SEQPACKET keeps their borders). One that is larger than a packet should be travels as an
anonymous file whose descriptor is sent instead.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Sequence
from typing import BinaryIO, Generic, TypeVar

import msgspec

from inferd.errors import WorkerError

In = TypeVar("In")
Out = TypeVar("Out")

PACKET_BYTES = 64 * 1024  # fits the default socket buffer (212,992) three times
MESSAGE_BYTES = 256 * 1024 * 1024  # the largest message accepted: the raw outputs of a large model
MAX_FDS = 16
_IN_FILE = b"\xc1"  # a byte that msgpack never uses: the message is in the first descriptor


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new socket pair."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class ChannelClosed(WorkerError):
    """The other end is gone."""


class Channel(Generic[In, Out]):
    """One end: sends messages of type Out, receives messages of type In. One thread receives; any may send."""

    def __init__(self, sock: socket.socket, receives: type[In]) -> None:
        """Take over a socket.

        Args:
            sock: one end of `channel_pair()`.
            receives: the (union) type of messages that come in; anything else is refused.
        """
        self._sock = sock
        self._readable = select.poll()  # not a socket timeout: that would make the senders' end non-blocking too
        self._readable.register(sock, select.POLLIN)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(receives)
        self.refused = 0

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._sock.fileno()

    def send(self, message: Out, fds: Sequence[int] = ()) -> None:
        """Send, waiting for room where there is none.

        Raises:
            Closed: the other end is gone.
        """
        self._send(message, fds, 0)

    def offer(self, message: Out, fds: Sequence[int] = ()) -> bool:
        """Send if there is room now; otherwise count it in `refused` and return False.

        An end that is gone has no room either: whoever receives from it hears of that.
        """
        try:
            self._send(message, fds, socket.MSG_DONTWAIT)
        except (BlockingIOError, ChannelClosed):
            self.refused += 1
            return False
        return True

    def receive(self, timeout_s: float | None) -> tuple[In, list[int]] | None:
        """Return the next message and the descriptors that came with it; None where nothing came in `timeout_s`.

        Raises:
            Closed: the other end is gone.
            WorkerError: what came is no message of ours.
        """
        if not self._readable.poll(None if timeout_s is None else timeout_s * 1000):
            return None
        try:
            data, fds, flags, _ = socket.recv_fds(self._sock, PACKET_BYTES + 1, MAX_FDS, socket.MSG_CMSG_CLOEXEC)
        except OSError as exc:
            raise ChannelClosed("channel", f"the other process is gone ({exc.strerror})") from exc
        if not data:
            raise ChannelClosed("channel", "the other process is gone")
        if data == _IN_FILE and fds:
            data = _read_file(fds.pop(0))
        try:
            return self._decoder.decode(data), fds
        except msgspec.MsgspecError as exc:
            for fd in fds:
                os.close(fd)
            raise WorkerError("channel", f"the other process sent nonsense ({exc}, flags {flags})") from exc

    def close(self) -> None:
        """Close this end. Twice is fine."""
        self._sock.close()

    def _send(self, message: Out, fds: Sequence[int], flags: int) -> None:
        data = self._encoder.encode(message)
        if len(data) > PACKET_BYTES:
            with _in_file(data) as file:
                self._send_packet(_IN_FILE, [file.fileno(), *fds], flags)
        else:
            self._send_packet(data, fds, flags)

    def _send_packet(self, data: bytes, fds: Sequence[int], flags: int) -> None:
        try:
            if fds:
                socket.send_fds(self._sock, [data], list(fds), flags)
            else:
                self._sock.send(data, flags)
        except BlockingIOError:
            raise
        except OSError as exc:
            raise ChannelClosed("channel", f"the other process is gone ({exc.strerror})") from exc


def _in_file(data: bytes) -> BinaryIO:
    file = os.fdopen(os.memfd_create("inferd-message", os.MFD_CLOEXEC), "w+b")
    file.write(data)
    file.flush()
    return file


def _read_file(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        size = os.fstat(fd).st_size
        if size > MESSAGE_BYTES:
            raise WorkerError("channel", f"a message of {size} bytes is more than is accepted ({MESSAGE_BYTES})")
        file.seek(0)
        return file.read()
