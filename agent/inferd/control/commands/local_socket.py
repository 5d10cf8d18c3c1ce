"""The listening ends of the local command channel: `control.sock` for our own user, `view.sock` for the group inferd-view.

A request is one packet of JSON, and so is its answer; then the connection ends, unless the verb streams.
"""

from __future__ import annotations

import grp
import logging
import os
import socket
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from inferd.errors import WorkerError
from inferd.system.clock import Clock
from inferd.system.files.memory_file import memory_file
from inferd.wire.decoding import decode
from inferd.wire.requests import LIMIT_BYTES, Access, LocalRequest, LocalResponse

log = logging.getLogger(__name__)

NAME = "control.sock"
VIEW_NAME = "view.sock"
VIEW_GROUP = "inferd-view"
SYSTEM_FOLDER = "/run/inferd"
PACKET_BYTES = 64_000  # of JSON in one packet; what is larger goes by descriptor
MOST_WAITING = 8  # connections that have not sent a request yet; the oldest is closed
ACCEPTED_A_TURN = 16
REQUEST_S = 5.0  # within which a connection sends its request

_request = msgspec.json.Decoder(LocalRequest)


@dataclass(frozen=True, slots=True)
class LocalCall:
    """A request, the connection that waits for its answer, and what that may do."""

    request: LocalRequest
    connection: socket.socket
    access: Access

    def answer(self, data: bytes) -> None:
        """Send an answer, JSON, and close."""
        if len(data) > PACKET_BYTES:
            fd = memory_file("inferd-answer", data)
            try:
                send_packet(self.connection, encode(LocalResponse("ok", in_file=True)), fd)
            finally:
                os.close(fd)
        else:
            send_packet(self.connection, encode(LocalResponse("ok", msgspec.Raw(data))))
        self.connection.close()

    def refuse(self, why: str) -> None:
        """Send why there is no answer, and close."""
        send_packet(self.connection, encode(LocalResponse("error", error=why)))
        self.connection.close()


class LocalListener:
    """One listening socket. Owned by control's main thread, which looks after it when it is readable, and every turn."""

    def __init__(self, folder: Path, name: str, access: Access, clock: Clock, group: int | None = None) -> None:
        """Listen in a folder; a socket that was left there is replaced, for the folder belongs to one agent.

        Args:
            folder: where the socket is made.
            name: its name.
            access: what requests on it may do.
            clock: times requests.
            group: the number of the group that may connect; None for our own user alone.

        Raises:
            WorkerError: the folder cannot be used.
        """
        self._access = access
        self._clock = clock
        self._waiting: list[tuple[socket.socket, int]] = []
        self._path = folder / name
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            with short_path(folder, name) as short:
                self._socket.bind(short)
            if group is not None:
                os.chown(self._path, -1, group)
            self._path.chmod(0o600 if group is None else 0o660)
            self._socket.listen(MOST_WAITING)
        except OSError as exc:
            self.close()
            raise WorkerError(str(self._path), f"commands cannot reach this agent: {exc.strerror}") from exc

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def pop_calls(self) -> list[LocalCall]:
        """Return the requests that have arrived."""
        self._accept()
        calls = []
        for connection, due_ns in self._waiting[:]:
            try:
                packet = connection.recv(LIMIT_BYTES + 1)
            except BlockingIOError:
                if self._clock.monotonic_ns() > due_ns:
                    self._drop(connection)
                continue
            except OSError:
                packet = b""
            self._waiting = [waiting for waiting in self._waiting if waiting[0] is not connection]
            if (call := self._read(connection, packet)) is not None:
                calls.append(call)
        while len(self._waiting) > MOST_WAITING:
            self._drop(self._waiting[0][0])
        return calls

    def close(self) -> None:
        """Stop listening. Idempotent."""
        for connection, _ in self._waiting[:]:
            self._drop(connection)
        self._socket.close()
        if self._reserve >= 0:
            os.close(self._reserve)
            self._reserve = -1
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        for _ in range(ACCEPTED_A_TURN):
            try:
                connection, _ = self._socket.accept()
            except BlockingIOError:
                return
            except OSError as exc:
                self._refuse_one(exc)
                return
            connection.setblocking(False)
            self._waiting.append((connection, self._clock.monotonic_ns() + int(REQUEST_S * 1e9)))

    def _refuse_one(self, error: OSError) -> None:
        """Close a connection for which there was no descriptor; else it would wake the selector again and again."""
        log.debug("%s: a connection is refused: %s", self._path, error.strerror)
        os.close(self._reserve)
        with suppress(OSError):
            connection, _ = self._socket.accept()
            connection.close()
        self._reserve = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _read(self, connection: socket.socket, packet: bytes) -> LocalCall | None:
        """Return the request in a packet; None where it is none, and the connection is closed."""
        if not packet:
            connection.close()
            return None
        try:
            if len(packet) > LIMIT_BYTES:
                raise ValueError(f"a request has at most {LIMIT_BYTES} bytes")  # noqa: TRY301 - one answer for all
            return LocalCall(decode(_request, packet), connection, self._access)
        except ValueError as exc:  # msgspec's errors are such
            why = f'a request is {{"verb": "...", "data": {{...}}}}: {exc}'
            send_packet(connection, encode(LocalResponse("error", error=why)))
            connection.close()
            return None

    def _drop(self, connection: socket.socket) -> None:
        self._waiting = [waiting for waiting in self._waiting if waiting[0] is not connection]
        connection.close()


def send_packet(connection: socket.socket, packet: bytes, fd: int | None = None) -> bool:
    """Send without waiting; return whether there was room. A connection that is gone has none."""
    rights = [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [fd]))]
    try:
        connection.sendmsg([packet], rights, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        return False
    return True


def encode(message: msgspec.Struct) -> bytes:
    """Return a packet of JSON."""
    return msgspec.json.encode(message)


def view_group() -> int | None:
    """Return the number of the group that may look; None where it does not exist."""
    try:
        return grp.getgrnam(VIEW_GROUP).gr_gid
    except KeyError:
        return None


def folder_of(state_dir: Path, runtime_dir: str) -> Path:
    """Return where an agent listens: in the folder that systemd made for it, else in its state directory."""
    return Path(runtime_dir.split(":", maxsplit=1)[0]) if runtime_dir else state_dir


@contextmanager
def short_path(folder: Path, name: str) -> Iterator[str]:
    """Give a path to the socket that fits the 108 bytes of a socket's address, however deep the folder lies."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{name}"
    finally:
        os.close(fd)
