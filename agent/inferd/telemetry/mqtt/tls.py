"""The secrets of a connection: certificates, keys, passwords. Imports no MQTT library."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path

from inferd.config.mqtt import Mqtt
from inferd.system.files.password import read_password
from inferd.telemetry.connection_errors import BrokerRefused

log = logging.getLogger(__name__)

OTHERS_MAY_READ = 0o004


def context(settings: Mqtt) -> ssl.SSLContext | None:
    """Return how the connection is encrypted; None where it is not. Files are read anew for every connection.

    Raises:
        BrokerRefused: a file cannot be used.
    """
    if not settings.tls:
        return None
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.alpn:
        made.set_alpn_protocols([settings.alpn])
    try:
        if settings.ca_file:
            made.load_verify_locations(settings.ca_file)
        else:
            made.load_default_certs()
    except OSError as exc:  # SSLError is one
        raise BrokerRefused(
            "mqtt.ca_file", f"{settings.ca_file} holds no certificate in PEM that can be read ({exc})"
        ) from exc
    try:
        if settings.cert_file:
            made.load_cert_chain(settings.cert_file, settings.key_file, password="")  # never ask on a terminal
    except (OSError, ValueError) as exc:
        raise BrokerRefused(
            "mqtt.cert_file",
            f"{settings.cert_file} and mqtt.key_file {settings.key_file} are no pair of certificate and key ({exc})",
        ) from exc
    return made


class PasswordFile:
    """A file that holds a password, read anew for every attempt so that correcting it is enough."""

    def __init__(self, path: str) -> None:
        """Read from `path`; "" where there is no password."""
        self._path = path
        self._warned = False

    def read(self) -> str:
        """Return the password; warn once where other users may read it.

        Raises:
            BrokerRefused: the file cannot be read.
        """
        if not self._path:
            return ""
        path = Path(self._path)
        try:
            password = read_password(path)
            exposed = path.stat().st_mode & OTHERS_MAY_READ
        except (OSError, ValueError) as exc:
            raise BrokerRefused(
                "mqtt.password_file", f"{path} cannot be read ({exc}); make it a text file of inferd's own"
            ) from exc
        if not self._warned:
            self._warned = True
            if exposed:
                log.warning("mqtt.password_file: other users may read %s; chmod 600 it", path)
            if password.hint:
                log.warning("mqtt.password_file: %s: %s", path, password.hint)
        return password.text
