"""The client of the local command channel: what `inferd status`, `snapshot`, `models`, `results` and the doctor use."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import msgspec

from inferd.control.commands.local_socket import NAME, PACKET_BYTES, VIEW_NAME, encode, short_path
from inferd.errors import WorkerError
from inferd.system.files.memory_file import read_memory_file
from inferd.wire.requests import LocalRequest, LocalResponse

ANSWER_S = 30.0
MOST_BYTES = 64 << 20  # of an answer that comes by descriptor

_response = msgspec.json.Decoder(LocalResponse)


def ask(folder: Path, verb: str, arguments: Mapping[str, object] | None = None) -> bytes:
    """Ask the agent that listens in a folder; return its answer, JSON.

    Raises:
        WorkerError: no agent listens there, it refuses, or it gives no answer.
    """
    data, fds = ask_with_files(folder, verb, arguments)
    for fd in fds:
        socket.close(fd)
    return data


def ask_with_files(folder: Path, verb: str, arguments: Mapping[str, object] | None = None) -> tuple[bytes, list[int]]:
    """Ask as `ask` does; return the descriptors that came with the answer, too.

    Raises:
        WorkerError: no agent listens there, it refuses, or it gives no answer.
    """
    with closing(_connect(folder, verb, arguments)) as connection:
        return _receive(folder, connection)


def subscribe(folder: Path, verb: str, arguments: Mapping[str, object] | None = None) -> Iterator[bytes]:
    """Ask for a stream; yield its packets, JSON, until the agent ends.

    Raises:
        WorkerError: no agent listens there, or it refuses.
    """
    with closing(_connect(folder, verb, arguments)) as connection:
        _receive(folder, connection)
        connection.settimeout(None)
        while packet := connection.recv(PACKET_BYTES):
            yield packet


def _connect(folder: Path, verb: str, arguments: Mapping[str, object] | None) -> socket.socket:
    """Return a connection on which the request has been sent: to `control.sock`, or `view.sock` where that is not ours."""
    request = encode(LocalRequest(verb, msgspec.Raw(msgspec.json.encode(arguments or {}))))
    for name in (NAME, VIEW_NAME):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)
        connection.settimeout(ANSWER_S)
        try:
            with short_path(folder, name) as short:
                connection.connect(short)
            connection.send(request)
        except PermissionError:
            connection.close()
        except OSError as exc:
            connection.close()
            if name == NAME:
                raise WorkerError(
                    str(folder / NAME), "no agent runs there; start it with `inferd run`, or name its --config"
                ) from exc
        else:
            return connection
    raise WorkerError(str(folder / NAME), "belongs to another user; try again with sudo, or join the group inferd-view")


def _receive(folder: Path, connection: socket.socket) -> tuple[bytes, list[int]]:
    try:
        packet, fds, _, _ = socket.recv_fds(connection, PACKET_BYTES + 1000, 2, socket.MSG_CMSG_CLOEXEC)
    except TimeoutError:
        raise WorkerError(str(folder / NAME), f"the agent gave no answer in {ANSWER_S:.0f} s; see its log") from None
    except OSError as exc:
        raise WorkerError(str(folder / NAME), f"the agent ended before it answered ({exc.strerror})") from exc
    if not packet:
        raise WorkerError(str(folder / NAME), "the agent ended before it answered; see its log")
    try:
        response = _response.decode(packet)
    except msgspec.MsgspecError as exc:
        raise WorkerError(str(folder / NAME), "the agent is of another version; restart it") from exc
    if response.status == "error":
        part, _, why = (response.error or "agent: refused").partition(": ")
        raise WorkerError(part, why)
    if response.in_file and fds:
        return read_memory_file(fds.pop(0), MOST_BYTES), fds
    return bytes(response.data), fds
