"""Where commands on this device reach the running agent: a socket that only its own user may use.

One packet asks, one answers, then it ends. Whoever serves a request takes the connection over: control answers what it knows
itself, and hands a connection on to the worker where that must answer.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from inferd import ipc
from inferd.errors import WorkerError
from inferd.system.processes.channel import Channel

log = logging.getLogger(__name__)

NAME = "control.sock"
SYSTEM_FOLDER = "/run/inferd"
MOST_WAITING = 8
ANSWER_S = 30.0

Client = Channel[ipc.FromViewer, ipc.ToViewer]


@dataclass(frozen=True, slots=True)
class LocalRequest:
    """A request, and the connection that waits for its answer; whoever serves it closes that."""

    request: ipc.FromViewer
    connection: socket.socket

    def tell(self, told: ipc.ModelsAnswer) -> None:
        """Answer, and close."""
        client: Client = Channel(self.connection, ipc.AskFrame)
        with suppress(WorkerError):
            client.offer(told)
        client.close()

    def refuse(self, why: str) -> None:
        """Answer with a sentence, and close."""
        client: Client = Channel(self.connection, ipc.AskFrame)
        with suppress(WorkerError):
            client.offer(ipc.SnapshotRefused(why))
        client.close()


class ControlSocket:
    """Control's end. Owned by control's main thread, which looks after it when it is readable, and every turn."""

    def __init__(self, folder: Path) -> None:
        """Listen in a folder; a socket that was left there is replaced, for the folder belongs to one agent.

        Raises:
            WorkerError: the folder cannot be used.
        """
        self._waiting: list[socket.socket] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        self._path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            with _short(folder) as short:
                self._socket.bind(short)
            self._path.chmod(0o600)
            self._socket.listen(MOST_WAITING)
        except OSError as exc:
            self._socket.close()
            raise WorkerError(str(self._path), f"commands cannot reach this agent: {exc.strerror}") from exc

    def fileno(self) -> int:
        """Return the descriptor, for a selector."""
        return self._socket.fileno()

    def take(self) -> list[LocalRequest]:
        """Return what was asked since the last time."""
        with suppress(BlockingIOError):
            while True:
                connection, _ = self._socket.accept()
                self._waiting.append(connection)
        asked = []
        for connection in self._waiting[:]:
            try:
                received = Channel[ipc.FromViewer, ipc.ToViewer](connection, ipc.FromViewer).receive(0)  # type: ignore[arg-type]  # a union
            except WorkerError as exc:
                log.debug("control socket: %s", exc)
                self._drop(connection)
                continue
            if received is not None:
                for fd in received[1]:
                    os.close(fd)
                self._waiting.remove(connection)
                asked.append(LocalRequest(received[0], connection))
        while len(self._waiting) > MOST_WAITING:  # who connects and says nothing makes room for others
            self._drop(self._waiting[0])
        return asked

    def close(self) -> None:
        """Stop listening. Twice is fine."""
        for connection in self._waiting[:]:
            self._drop(connection)
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def _drop(self, connection: socket.socket) -> None:
        self._waiting.remove(connection)
        connection.close()


def ask(folder: Path, request: ipc.FromViewer) -> tuple[ipc.ToViewer, list[int]]:
    """Ask the agent that listens in a folder; return its answer and the descriptors that came with it.

    Raises:
        WorkerError: no agent listens there, it does not let us in, or it gives no answer.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
    channel: Channel[ipc.ToViewer, ipc.FromViewer] = Channel(connection, ipc.ToViewer)  # type: ignore[arg-type]  # a union
    try:
        with _short(folder) as short:
            connection.connect(short)
        channel.send(request)
        answer = channel.receive(ANSWER_S)
    except PermissionError as exc:
        raise WorkerError(str(folder / NAME), "belongs to another user; try again with sudo") from exc
    except OSError as exc:
        raise WorkerError(
            str(folder / NAME), "no agent runs there; start it with `inferd run`, or name its --config"
        ) from exc
    finally:
        channel.close()
    if answer is None:
        raise WorkerError(str(folder / NAME), f"the agent gave no answer in {ANSWER_S:.0f} s; see its log")
    return answer


def folder_of(state_dir: Path, runtime_dir: str) -> Path:
    """Return where an agent listens: in the folder that systemd made for it, else in its state directory."""
    return Path(runtime_dir.split(":", maxsplit=1)[0]) if runtime_dir else state_dir


@contextmanager
def _short(folder: Path) -> Iterator[str]:
    """Give a path to the socket that fits the 108 bytes a socket's address has, however deep the folder lies."""
    fd = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{NAME}"
    finally:
        os.close(fd)
