"""Asks a network camera for its stream, as far as its answer: HTTP GET, or RTSP DESCRIBE (RFC 2326, section 10.2)."""

from __future__ import annotations

import re
import socket
import ssl
import time
from dataclasses import dataclass

from inferd.errors import SourceError
from inferd.sources.camera.address import CameraAddress, parse
from inferd.sources.camera.http_auth import Login

PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
ENCRYPTED = ("https", "rtsps")
HEAD_MAX_BYTES = 16_384
STATUS = re.compile(rb"(?:HTTP|RTSP)/1\.\d (\d{3})")
UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class CameraAnswer:
    """How a camera answered: its status code; 0 and a reason where it gave none."""

    code: int
    reason: str = ""


def ask_camera(url: str, username: str, password: str, timeout_s: float) -> CameraAnswer | None:
    """Ask for the stream once, and again with credentials where they are asked for; None where nothing can be said.

    Args:
        url: as configured.
        username: "" for none.
        password: see `username`.
        timeout_s: for the whole exchange.
    """
    if url.partition("://")[0] not in PORTS:
        return None
    try:
        address = parse(url)
    except SourceError as exc:
        return CameraAnswer(0, exc.message)
    ends_s = time.monotonic() + timeout_s
    login = Login(username or address.login.username, password or address.login.password)
    try:
        code, challenges = _ask(address, login, ends_s)
        if code == UNAUTHORIZED and login.accept(challenges):
            if address.scheme.startswith("rtsp") and any(one.lower().startswith("digest") for one in challenges):
                return None  # a Digest over RTSP names another method and URI than `Login` signs: nothing can be said
            code, _ = _ask(address, login, ends_s)
    except (OSError, ValueError) as exc:
        return CameraAnswer(0, getattr(exc, "strerror", None) or str(exc))
    return CameraAnswer(code, "" if code else "it closed the connection without an answer")


def _ask(address: CameraAddress, login: Login, ends_s: float) -> tuple[int, list[str]]:
    """Return the status code, and the WWW-Authenticate headers."""
    port = address.port or PORTS[address.scheme]
    with socket.create_connection((address.host, port), _left_s(ends_s)) as plain:
        if address.scheme not in ENCRYPTED:
            return _exchange(plain, address, port, login, ends_s)
        with ssl.create_default_context().wrap_socket(plain, server_hostname=address.host) as secure:
            return _exchange(secure, address, port, login, ends_s)


def _exchange(
    stream: socket.socket, address: CameraAddress, port: int, login: Login, ends_s: float
) -> tuple[int, list[str]]:
    target = address.target
    bare = f"{address.scheme}://{address.host}:{port}{target}"
    if address.scheme.startswith("rtsp"):
        lines = [f"DESCRIBE {bare} RTSP/1.0", "CSeq: 1", "Accept: application/sdp"]
    else:
        lines = [f"GET {target} HTTP/1.1", f"Host: {address.host}:{port}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in login.headers(bare).items()]
    stream.sendall("\r\n".join([*lines, "", ""]).encode("latin-1", "replace"))
    head = b""
    while b"\r\n\r\n" not in head and len(head) < HEAD_MAX_BYTES:
        stream.settimeout(_left_s(ends_s))
        piece = stream.recv(4096)
        if not piece:
            break
        head += piece
    found = STATUS.match(head)
    fields = [line.decode("latin-1") for line in head.split(b"\r\n\r\n")[0].split(b"\r\n")[1:]]
    challenges = [
        value.strip()
        for name, _, value in (line.partition(":") for line in fields)
        if name.lower() == "www-authenticate"
    ]
    return int(found[1]) if found else 0, challenges


def _left_s(ends_s: float) -> float:
    left_s = ends_s - time.monotonic()
    if left_s <= 0:
        raise TimeoutError("it did not answer in time")
    return left_s
