"""Why a connection failed, in words, and whether waiting helps."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from inferd.config.mqtt import Mqtt
from inferd.errors import LinkError

if TYPE_CHECKING:
    from inferd.telemetry.mqtt.broker_limits import ConnectionLoss

# X509_V_ERR_* of OpenSSL (x509_vfy.h), which `ssl` tells by number only.
NOT_YET_VALID = 9
EXPIRED = 10
WRONG_NAME = (62, 64)  # HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH
NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "UNEXPECTED_EOF_WHILE_READING", "PACKET_LENGTH_TOO_LONG")

CREDENTIALS = ("Bad user name or password", "Not authorized")
WRONG_PROTOCOL = ("Unsupported protocol version",)
BUSY = ("Server unavailable", "Server busy", "Connection rate exceeded", "Quota exceeded", "Server shutting down")

# First bytes of what is no MQTT 3.1.1 broker: the CONNACK of one that wants another version, TLS, HTTP.
CONNACK = 0x20
CONNACK_WRONG_VERSION = (0x01, 0x84)  # of MQTT 3.1.1 and of MQTT 5
TLS_RECORDS = (b"\x15\x03", b"\x16\x03")


class BrokerRefused(LinkError):
    """The broker answered and refuses us, or we refuse it; trying again soon does not help."""


class TakenOver(BrokerRefused):
    """Another client connected with our client id."""


class ConnectionEnded(LinkError):
    """The broker ended the connection without a reason.

    Attributes:
        loss: what was under way.
    """

    def __init__(self, part: str, message: str, loss: ConnectionLoss) -> None:
        super().__init__(part, message)
        self.loss = loss


class Stale(LinkError):
    """An encrypted request quotes a message that is too old.

    Attributes:
        request: what was asked, plain.
    """

    def __init__(self, part: str, message: str, request: bytes) -> None:
        super().__init__(part, message)
        self.request = request


def explain_tls_error(exc: ssl.SSLError, host: str) -> tuple[str, bool]:
    """Return why the TLS handshake failed, and whether waiting may help."""
    if not isinstance(exc, ssl.SSLCertVerificationError):
        if exc.reason in NO_TLS or isinstance(exc, ssl.SSLEOFError):
            return (
                f"it does not answer with TLS ({exc.reason}); check mqtt.port (mostly 8883), or set mqtt.tls = false",
                False,
            )
        return f"TLS fails ({exc.reason or exc}); is it a TLS port, and does it want mqtt.cert_file?", False
    match exc.verify_code:
        case code if code == EXPIRED:
            return "its certificate has expired; renew it on the broker, or set this device's clock", True
        case code if code == NOT_YET_VALID:
            return "its certificate is not valid yet; is this device's clock set?", True
        case code if code in WRONG_NAME:
            return (
                f"its certificate is not for {host!r}; correct mqtt.host, or give the broker one that names it",
                False,
            )
    return f"no certificate in mqtt.ca_file vouches for its own ({exc.verify_message}); correct mqtt.ca_file", False


def explain_os_error(exc: Exception, connect_s: float) -> str:
    """Return why no connection was opened, and what to do about it."""
    match exc:
        case ConnectionRefusedError():
            return (
                "nothing listens there; start a broker (apt-get install mosquitto) or correct mqtt.host and mqtt.port"
            )
        case socket.gaierror():
            return f"its name is not known ({exc.strerror}); correct mqtt.host"
        case ConnectionResetError():
            return "it closed the connection at once; does its port speak TLS (mqtt.tls), does it want mqtt.cert_file?"
        case TimeoutError():
            return f"it does not answer within {connect_s:.0f} s; check mqtt.host and the network"
        case OSError() if exc.strerror:
            return f"it cannot be reached ({exc.strerror}); check the network"
    return f"it cannot be reached ({exc or type(exc).__name__}); check the table [mqtt]"


def explain_connack(reason: str, settings: Mqtt) -> tuple[str, bool]:
    """Return why a broker refused CONNECT, by its reason, and whether waiting helps."""
    if reason in BUSY:
        return f"it is not available ({reason}); reconnecting", True
    if reason in CREDENTIALS:
        user = repr(settings.username) if settings.username else "clients without a user name"
        return f"it refuses {user} ({reason}); correct mqtt.username and mqtt.password_file", False
    if reason in WRONG_PROTOCOL:
        return _wrong_version(settings), False
    if reason == "Client identifier not valid":
        return f"it refuses the client id ({reason}); set mqtt.client_id to one that it accepts", False
    return f"it refuses us: {reason}", False


def explain_greeting(first: bytes, settings: Mqtt) -> str:
    """Return what a server is by the first bytes that it sent, where it is no broker for us; "" where they do not tell."""
    if first.startswith(TLS_RECORDS):
        return "it answers with TLS; set mqtt.tls = true, or correct mqtt.port (without TLS mostly 1883)"
    if first.startswith(b"HTTP"):
        return 'it answers with HTTP; set mqtt.transport = "websockets", or correct mqtt.port'
    if first[:1] == bytes([CONNACK]) and len(first) > 3 and first[3] in CONNACK_WRONG_VERSION:  # noqa: PLR2004 - the code
        return _wrong_version(settings)
    return ""


def _wrong_version(settings: Mqtt) -> str:
    other = "5" if settings.version == "3.1.1" else "3.1.1"
    return f'it does not speak MQTT {settings.version}; set mqtt.version = "{other}"'
