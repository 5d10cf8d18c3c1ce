"""Greets an MQTT broker and goes: name, connection, TLS, credentials, each with its own answer.

Thirty lines of MQTT 3.1.1 instead of paho, because paho tells only that it did not work, may itself be what is missing,
and would keep trying. The client id is not the service's: a broker ends the older of two connections with one id.
"""

from __future__ import annotations

import re
import socket
import ssl
from dataclasses import dataclass
from typing import Literal

from inferd.doctor.readers.requirements import BrokerAddress, Tls

Outcome = Literal[
    "welcome",
    "no-name",
    "refused",
    "unreachable",
    "login",
    "expired",
    "not-yet",
    "wrong-name",
    "authority",
    "own",
    "tls",
    "other",
]
CONNECT, CONNACK, DISCONNECT = 0x10, 0x20, b"\xe0\x00"
CLEAN_SESSION, HAS_PASSWORD, HAS_USER = 0x02, 0x40, 0x80
BAD_LOGIN = {4, 5}  # CONNACK return codes: bad user name or password, not authorised
KEEPALIVE_S = 10
GONE = "it closed the connection"
CONNACK_BYTES = 4
# X509_V_ERR_* of openssl/x509_vfy.h
VERIFY: dict[int, Outcome] = {9: "not-yet", 10: "expired", 62: "wrong-name", 64: "wrong-name"}
AUTHORITY = {2, 18, 19, 20, 21}
OWN = re.compile(
    "ALERT.*(CERTIFICATE|UNKNOWN_CA)|KEY_VALUES_MISMATCH"
)  # what OpenSSL calls a refusal of our certificate


@dataclass(frozen=True, slots=True)
class Handshake:
    """How the greeting went, and what was said in the end."""

    outcome: Outcome
    said: str = ""


def greet(broker: BrokerAddress, password: str, timeout_s: float) -> Handshake:
    """Connect to a broker, log in, and leave. Files that are named are there and can be read."""
    try:
        with socket.create_connection((broker.host, broker.port), timeout_s) as plain:
            if broker.tls is None:
                return _log_in(plain, broker, password)
            with _context(broker.tls).wrap_socket(plain, server_hostname=broker.host) as secure:
                return _log_in_encrypted(secure, broker, password)
    except OSError as exc:  # every error of sockets and of TLS is one
        return Handshake(outcome_of(exc), _said(exc))


def outcome_of(error: OSError) -> Outcome:
    """Return what an error of the greeting means."""
    match error:
        case ssl.SSLCertVerificationError():
            unknown: Outcome = "authority" if error.verify_code in AUTHORITY else "tls"
            return VERIFY.get(error.verify_code, unknown)
        case ssl.SSLError():
            return "own" if OWN.search(error.reason or "") else "tls"
        case socket.gaierror():
            return "no-name"
        case ConnectionRefusedError():
            return "refused"
        case _:
            return "unreachable"


def _said(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.reason if isinstance(error, ssl.SSLError) else error.strerror) or str(error)


def connect_packet(client_id: str, username: str, password: str) -> bytes:
    """Return the CONNECT packet (MQTT 3.1.1, section 3.1)."""
    flags = CLEAN_SESSION | (HAS_USER if username else 0) | (HAS_PASSWORD if username and password else 0)
    fields = [client_id, *([username] if username else []), *([password] if username and password else [])]
    head = _string("MQTT") + bytes([4, flags]) + KEEPALIVE_S.to_bytes(2, "big")
    body = head + b"".join(map(_string, fields))
    return bytes([CONNECT]) + _length(len(body)) + body


def _log_in_encrypted(stream: ssl.SSLSocket, broker: BrokerAddress, password: str) -> Handshake:
    """Log in; with TLS 1.3 a broker judges our certificate after the handshake, and may be gone before we hear why."""
    try:
        return _log_in(stream, broker, password)
    except (ssl.SSLEOFError, ConnectionError):
        return Handshake("own", GONE)


def _log_in(stream: socket.socket, broker: BrokerAddress, password: str) -> Handshake:
    stream.sendall(connect_packet(broker.client_id, broker.username, password))
    answer = _receive(stream)
    if len(answer) < CONNACK_BYTES or answer[0] != CONNACK:
        gone: Outcome = "own" if broker.tls else "other"
        return Handshake("other", "it does not speak MQTT") if answer else Handshake(gone, GONE)
    if answer[3] == 0:
        stream.sendall(DISCONNECT)
        return Handshake("welcome")
    return Handshake("login" if answer[3] in BAD_LOGIN else "other", f"CONNACK return code {answer[3]}")


def _receive(stream: socket.socket) -> bytes:
    answer = b""
    while len(answer) < CONNACK_BYTES and (piece := stream.recv(CONNACK_BYTES - len(answer))):
        answer += piece
    return answer


def _context(tls: Tls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=tls.ca_file or None)
    if tls.cert_file:
        context.load_cert_chain(tls.cert_file, tls.key_file or None, password="")
    return context


def _string(text: str) -> bytes:
    encoded = text.encode()
    return len(encoded).to_bytes(2, "big") + encoded


def _length(count: int) -> bytes:
    """Return a remaining length: seven bits a byte, lowest first."""
    encoded = bytearray()
    while True:
        count, low = divmod(count, 128)
        encoded.append(low | (128 if count else 0))
        if not count:
            return bytes(encoded)
