"""Messages between two of our processes: msgpack over a socket pair, with file descriptors.

A message is one packet (SOCK_SEQPACKET keeps their boundaries). A larger one is written to an anonymous file whose
descriptor is sent instead.
"""

from __future__ import annotations

import array
import errno
import os
import select
import socket
from collections.abc import Sequence
from typing import BinaryIO, Generic, TypeVar

import msgspec

from inferd.errors import WorkerError
from inferd.foreign_text import printable

In = TypeVar("In")
Out = TypeVar("Out")

PACKET_BYTES = 64 * 1024  # fits the default socket buffer (212,992) three times
MESSAGE_BYTES = 256 * 1024 * 1024  # the largest message accepted: the raw outputs of a large model
MAX_FDS = 16
NO_ROOM = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS)  # the other end is there
IN_FILE = b"\xc1"  # a byte that msgpack never uses: the message is in the first descriptor


def channel_pair() -> tuple[socket.socket, socket.socket]:
    """Return the two ends of a new socket pair."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class ChannelClosed(WorkerError):
    """The other end is gone."""


class Channel(Generic[In, Out]):
    """One end: sends messages of type Out, receives messages of type In. One thread receives; any thread may send."""

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
        """Send; wait while the channel is full.

        Raises:
            ChannelClosed: the other end is gone.
            WorkerError: there is no memory or no descriptor for a large message, or it holds a name that is not UTF-8.
        """
        try:
            data = self._encoder.encode(message)
        except UnicodeEncodeError as exc:
            fact = f"the name {printable(exc.object)} is not UTF-8; rename the file or folder"
            raise WorkerError("channel", fact) from exc
        try:
            self._send(data, fds, 0)
        except OSError as exc:
            raise WorkerError("channel", f"cannot send a message of {len(data):,} bytes ({exc.strerror})") from exc

    def offer(self, message: Out, fds: Sequence[int] = ()) -> bool:
        """Send if that is possible now, whatever the size and descriptors; otherwise count it in `refused`. Never waits.

        An end that is gone refuses too: `receive` reports that.

        Returns:
            Whether the message was sent.
        """
        try:
            self._send(self._encoder.encode(message), fds, socket.MSG_DONTWAIT)
        except (OSError, ChannelClosed, UnicodeEncodeError):
            self.refused += 1
            return False
        return True

    def receive(self, timeout_s: float | None) -> tuple[In, list[int]] | None:
        """Return the next message and its descriptors; None if nothing came in `timeout_s`.

        Raises:
            ChannelClosed: the other end is gone.
            WorkerError: what came is not a message of ours, or this process has no descriptor left for it.
        """
        if not self._readable.poll(None if timeout_s is None else timeout_s * 1000):
            return None
        try:
            data, fds, flags, _ = socket.recv_fds(self._sock, PACKET_BYTES + 1, MAX_FDS, socket.MSG_CMSG_CLOEXEC)
        except OSError as exc:
            raise ChannelClosed("channel", f"the other process is gone ({exc.strerror})") from exc
        if not data:
            raise ChannelClosed("channel", "the other process is gone")
        try:
            return self._decode(data, fds, flags), fds
        except WorkerError:
            for fd in fds:
                os.close(fd)
            raise

    def close(self) -> None:
        """Close this end. Idempotent."""
        self._sock.close()

    def _decode(self, data: bytes, fds: list[int], flags: int) -> In:
        """Return the message in a packet, or in the file that came instead, which is removed from `fds`.

        Raises:
            WorkerError: it is not a message of ours.
        """
        if flags & socket.MSG_CTRUNC:
            raise WorkerError("channel", "a message came with more open files than this process may have")
        try:
            return self._decoder.decode(_read_file(fds.pop(0)) if data == IN_FILE and fds else data)
        except (msgspec.MsgspecError, RecursionError, OSError) as exc:
            raise WorkerError("channel", f"the other process sent an invalid message ({exc})") from exc

    def _send(self, data: bytes, fds: Sequence[int], flags: int) -> None:
        if len(data) > PACKET_BYTES:
            with _in_file(data) as file:
                self._send_packet(IN_FILE, [file.fileno(), *fds], flags)
        else:
            self._send_packet(data, fds, flags)

    def _send_packet(self, data: bytes, fds: Sequence[int], flags: int) -> None:
        # Not socket.send_fds: it ignores its flags (seen in CPython 3.11 to 3.13), so that an offer would wait.
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        try:
            self._sock.sendmsg([data], rights, flags)
        except OSError as exc:
            if exc.errno in NO_ROOM:
                raise
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
