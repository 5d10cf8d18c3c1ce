"""What is wrong with a connection, in words, and whether waiting mends it."""

from __future__ import annotations

import socket
import ssl

from inferd.errors import LinkError

# X509_V_ERR_* of OpenSSL (x509_vfy.h), which `ssl` tells by number only.
NOT_YET_VALID = 9
EXPIRED = 10
WRONG_NAME = (62, 64)  # HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH


class BrokerRefused(LinkError):
    """The broker answered and does not want us, or we do not want it; trying again soon does not help."""


class TakenOver(BrokerRefused):
    """Somebody else connected under our name."""


class Stale(LinkError):
    """A sealed request quotes a message that is too old.

    Attributes:
        request: what was asked, plain.
    """

    def __init__(self, part: str, message: str, request: bytes) -> None:
        super().__init__(part, message)
        self.request = request


def explain(exc: ssl.SSLError, host: str) -> tuple[str, bool]:
    """Return why TLS did not come about, and whether waiting may mend it."""
    if not isinstance(exc, ssl.SSLCertVerificationError):
        return f"TLS fails ({exc.reason or exc}); is it a TLS port, and does it want mqtt.cert_file?", False
    match exc.verify_code:
        case code if code == EXPIRED:
            return "its certificate has expired; renew it on the broker, or set this device's clock", True
        case code if code == NOT_YET_VALID:
            return "its certificate is not valid yet; is this device's clock set?", True
        case code if code in WRONG_NAME:
            return f"its certificate is not for {host!r}; mend mqtt.host, or give the broker one that names it", False
    return f"nobody in mqtt.ca_file vouches for its certificate ({exc.verify_message}); mend mqtt.ca_file", False


def mend(exc: OSError | ValueError, connect_s: float) -> str:
    """Return what went wrong while connecting, and what to do about it."""
    match exc:
        case ConnectionRefusedError():
            return "nothing listens there; start a broker (apt-get install mosquitto) or mend mqtt.host and mqtt.port"
        case socket.gaierror():
            return f"its name is not known ({exc.strerror}); mend mqtt.host"
        case ConnectionResetError():
            return (
                "it closed the connection at once; mend mqtt.tls, or give it the certificate it wants (mqtt.cert_file)"
            )
        case TimeoutError():
            return f"it does not answer within {connect_s:.0f} s; mend mqtt.host or the network"
        case OSError():
            return f"there is no way to it ({exc.strerror}); mend the network"
    return f"{exc}; mend the table [mqtt]"
