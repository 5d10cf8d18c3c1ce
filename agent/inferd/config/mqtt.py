"""The way to the broker. Part of the configuration; `settings.py` holds the rest."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from inferd.config.base import ConfigTable
from inferd.wire.bounds import HOUR_S, FilePath, Host, Port, Text


class Mqtt(ConfigTable, frozen=True):
    """The broker. Inference never waits for it. A file may be "$CREDENTIALS_DIRECTORY/NAME", a credential of systemd's.

    Attributes:
        enabled: whether to publish at all.
        host: the broker's name or address.
        port: the broker's port; with TLS mostly 8883.
        prefix: the first level of every topic.
        version: of MQTT: "3.1.1" or "5".
        client_id: as which the device connects, where the broker prescribes it; "" makes it of prefix and device. No two
            clients of a broker may have the same.
        transport: "tcp", or "websockets" where only HTTP gets through; that needs version "5".
        websocket_path: of the URL, with "websockets".
        alpn: the protocol to ask for in TLS, for a broker that shares port 443: AWS IoT wants
            "x-amzn-mqtt-ca" with a client certificate, "mqtt" with custom authentication; "" for none.
        username: "" for none.
        password_file: a file that holds the password and nothing else; "" for none.
        tls: whether the connection is encrypted; always set it where there is a password and the network is not your own.
        ca_file: certificates of the authorities that may sign the broker's, PEM; "" takes the system's.
        cert_file: the device's own certificate, PEM, where the broker asks for one; "" for none.
        key_file: the key of `cert_file`.
        seal_key_file: a file of 32 octets or 64 hex digits with which every payload is sealed, so that the broker cannot
            read it; needs the package "cryptography"; "" for none.
        keepalive_s: seconds after which a lost connection is noticed.
        max_buffered: results kept in memory while the broker is away; the oldest go first and are counted.
        spool_mb: room on the disk for events, alerts, metrics and kept results that the broker has missed; 0 keeps them in
            memory only.
        commit_s: seconds of them that a power cut may lose.
        requests: which requests the device carries out: "none", "read", "operate", "all" (docs/mqtt.md lists them; true is
            "all", false is "none"); "auto" is "operate" with a password, a client certificate or a seal key,
            else "read".
        snapshots: whether `request/snapshot` may have a picture, the only one that ever goes over MQTT.
    """

    enabled: bool = True
    host: Host = "localhost"
    port: Port = 1883
    prefix: Text = "inferd"
    version: Literal["3.1.1", "5"] = "3.1.1"
    client_id: Text = ""
    transport: Literal["tcp", "websockets"] = "tcp"
    websocket_path: Text = "/mqtt"
    alpn: Text = ""
    username: Text = ""
    password_file: FilePath = ""
    tls: bool = False
    ca_file: FilePath = ""
    cert_file: FilePath = ""
    key_file: FilePath = ""
    seal_key_file: FilePath = ""
    keepalive_s: Annotated[int, Meta(ge=1, le=65_535)] = 30
    max_buffered: Annotated[int, Meta(ge=1, le=1_000_000)] = 1000
    spool_mb: Annotated[int, Meta(ge=0, le=1_000_000)] = 32
    commit_s: Annotated[float, Meta(ge=0.1, le=HOUR_S)] = 5.0
    requests: bool | Literal["auto", "none", "read", "operate", "all"] = "auto"
    snapshots: bool = False


FILES = ("password_file", "ca_file", "cert_file", "key_file", "seal_key_file")
CREDENTIALS = "$CREDENTIALS_DIRECTORY/"
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
SERVICE_CREDENTIALS = "/run/credentials/inferd.service"  # where systemd has them, for who asks from outside the service


AT_CONNECT = (
    "host", "port", "version", "client_id", "transport", "websocket_path", "alpn", "username", "password_file", "tls", "ca_file",
    "cert_file", "key_file", "keepalive_s",
)  # fmt: skip
AT_ONCE = ("snapshots", "requests")  # but for "none", with which requests are not subscribed to


def request_access(mqtt: Mqtt) -> Literal["none", "read", "operate", "all"]:
    """Return which requests are carried out."""
    if isinstance(mqtt.requests, bool):
        return "all" if mqtt.requests else "none"
    if mqtt.requests == "auto":
        return "operate" if mqtt.password_file or mqtt.cert_file or mqtt.seal_key_file else "read"
    return mqtt.requests


def strangers_may(mqtt: Mqtt) -> str:
    """Return what anyone who reaches the broker can do to this device; "" if the device logs in or has a certificate."""
    if not mqtt.enabled or mqtt.username or mqtt.cert_file:
        return ""
    if mqtt.seal_key_file:
        return "see when it publishes, and withhold its messages"
    access = request_access(mqtt)
    allowed = [
        "read its results, figures and events",
        "publish in its name",
        *(["ask for its status"] if access != "none" else []),
        *(["switch its models and pipelines"] if access in ("operate", "all") else []),
        *(["fetch pictures"] if access in ("operate", "all") and mqtt.snapshots else []),
        *(["remove models", "reload its configuration"] if access == "all" else []),
    ]
    return f"{', '.join(allowed[:-1])} and {allowed[-1]}"


def reconnected(old: Mqtt, new: Mqtt) -> Mqtt:
    """Return the table that is in use after a new connection was made: what only a new start takes is as it was."""
    return msgspec.structs.replace(old, **{key: getattr(new, key) for key in AT_CONNECT})


def at_start(old: Mqtt, new: Mqtt) -> list[str]:
    """Return what changed and takes effect at the next start only."""
    late = (key for key in Mqtt.__struct_fields__ if key not in (*AT_CONNECT, *AT_ONCE))
    changed = [f"mqtt.{key}" for key in late if getattr(old, key) != getattr(new, key)]
    subscribed = request_access(old) != "none", request_access(new) != "none"
    return [*changed, "mqtt.requests"] if subscribed[0] != subscribed[1] else changed


def with_credentials(mqtt: Mqtt, folder: str) -> tuple[Mqtt, str]:
    """Return the table with systemd's credentials as paths; and the key of one that cannot be, "" where all are.

    Args:
        mqtt: as configured.
        folder: what $CREDENTIALS_DIRECTORY says; "" where systemd gave none.
    """
    found: dict[str, str] = {}
    for key in FILES:
        if (path := getattr(mqtt, key)).startswith(CREDENTIALS):
            if not folder:
                return mqtt, key
            found[key] = f"{folder}/{path.removeprefix(CREDENTIALS)}"
    return msgspec.structs.replace(mqtt, **found), ""


def amiss(mqtt: Mqtt) -> str:
    """Return what is wrong with the table as a sentence; "" where nothing is."""
    if not mqtt.tls and (mqtt.ca_file or mqtt.cert_file):
        return "mqtt.ca_file and mqtt.cert_file are of no use without `tls = true`"
    if bool(mqtt.cert_file) != bool(mqtt.key_file):
        return "mqtt.cert_file and mqtt.key_file belong together; give both"
    if mqtt.alpn and not mqtt.tls:
        return "mqtt.alpn is a part of TLS; set `tls = true`"
    if mqtt.transport == "websockets" and mqtt.version != "5":
        return 'mqtt.transport = "websockets" needs mqtt.version = "5", whose packets can be limited in size'
    return ""
