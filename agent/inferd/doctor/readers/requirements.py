"""What the configuration asks of the device: the one place that knows which keys mean a camera, a port, an accelerator, TLS.

Keys are looked up by name, so that a key which a later version of `config/settings.py` brings is understood where it
exists, and asks for nothing where it does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from inferd.accelerators.accelerator import Accelerator
from inferd.accelerators.table import by_delegate, by_file
from inferd.config import settings

FILE_KINDS = ("images", "video", "npz", "wav", "lines")
NO_PICTURES = ("npz", "wav", "iio", "lines")
SOUND_FORMATS = ("s16", "s32", "f32")
PRESETS = {"rpicam": "rpicam-vid", "ffmpeg": "ffmpeg", "arecord": "arecord"}


@dataclass(frozen=True, slots=True)
class Tls:
    """How the broker's certificate is judged, and what we show it; "" where a file is not given."""

    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """The broker that is to be used. `tls` is None for a plain connection."""

    host: str
    port: int
    username: str
    password_file: str
    client_id: str
    tls: Tls | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that a connection needs."""
        shown = (self.tls.ca_file, self.tls.cert_file, self.tls.key_file) if self.tls else ()
        return tuple(path for path in (self.password_file, *shown) if path)


@dataclass(frozen=True, slots=True)
class Listening:
    """A port that inferd is to listen on, and the key that says so."""

    port: int
    key: str


def plain(table: msgspec.Struct) -> dict[str, object]:
    """Return a table's keys and values, and the name of its kind where it has one."""
    tag = table.__struct_config__.tag
    return {**({"kind": tag} if tag else {}), **msgspec.structs.asdict(table)}


def tls_of(mqtt: settings.Mqtt) -> Tls | None:
    """Return how TLS is wanted, None for a plain connection."""
    return Tls(mqtt.ca_file, mqtt.cert_file, mqtt.key_file) if mqtt.tls else None


def ports(config: msgspec.Struct) -> tuple[Listening, ...]:
    """Return the ports to listen on: `port` of every enabled table but the broker's."""
    return tuple(_ports(config))


def accelerator_of(pipeline: settings.Pipeline) -> Accelerator | None:
    """Return the accelerator that a pipeline is to run on, by its engine or its model's name; None for the CPU."""
    return by_delegate(str(plain(pipeline.engine).get("delegate", ""))) or by_file(pipeline.model)


def takes_pictures(pipeline: settings.Pipeline) -> bool:
    """Whether a pipeline's frames are pictures, which OpenCV reads and scales."""
    source = plain(pipeline.source)
    sounds = source.get("format") in SOUND_FORMATS or source.get("preset") == "arecord"
    return source["kind"] not in NO_PICTURES and not sounds


def camera(pipeline: settings.Pipeline) -> str:
    """Return the video device that a pipeline reads, such as "/dev/video0"; "" where it reads none."""
    source = plain(pipeline.source)
    return str(source.get("path", "")) if source["kind"] == "v4l2" else ""


def file(pipeline: settings.Pipeline) -> str:
    """Return the file, folder or pattern that a pipeline reads; "" where it reads none."""
    return str(plain(pipeline.source).get("path", "")) if settings.kind_of(pipeline.source) in FILE_KINDS else ""


def program(pipeline: settings.Pipeline) -> str:
    """Return the program that gives a pipeline its frames; "" where there is none."""
    source = plain(pipeline.source)
    command, preset = source.get("command"), source.get("preset")
    if isinstance(command, tuple) and command:
        return str(command[0])
    return PRESETS.get(str(preset), str(preset)) if preset else ""


def folders(config: msgspec.Struct) -> tuple[str, ...]:
    """Return the folders that the configuration names besides the state folder."""
    tables = [plain(value) for value in plain(config).values() if isinstance(value, msgspec.Struct)]
    return tuple(str(table["folder"]) for table in tables if table.get("folder"))


def _ports(config: msgspec.Struct) -> Iterator[Listening]:
    for name, value in plain(config).items():
        if name != "mqtt" and isinstance(value, msgspec.Struct):
            table = plain(value)
            if isinstance(port := table.get("port"), int) and port and table.get("enabled", True):
                yield Listening(port, f"{name}.port")
