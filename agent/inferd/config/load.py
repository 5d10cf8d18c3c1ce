"""Reads the configuration: files into frozen structs, with every mistake named by file, key and nearest match."""

from __future__ import annotations

import os
import re
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from inferd.config.check_alerts import wrong_alerts
from inferd.config.check_pipelines import wrong_cascade, wrong_pipeline
from inferd.config.mqtt import amiss, with_credentials
from inferd.config.paths import absolute_paths
from inferd.config.settings import Config
from inferd.errors import ConfigError
from inferd.system.processes.heartbeats import SLOTS
from inferd.wire.explain_error import explain
from inferd.wire.topics import check_device_id, check_pipeline_name, check_prefix, safe_device_id

SYSTEM_FILE = Path("/etc/inferd/inferd.toml")
SYSTEM_STATE_DIR = Path("/var/lib/inferd")
MAX_BYTES = 1024 * 1024
BOM = b"\xef\xbb\xbf"
DROP_IN = re.compile(r"[^.].*\.toml")

Table = dict[str, Any]  # Any: what TOML gives, before it is checked


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration and the files it came from, in the order they were read; none where there was no file."""

    config: Config
    files: tuple[Path, ...]


def load(explicit: Path | None, environment: Mapping[str, str]) -> LoadedConfig:
    """Read `explicit`, else the file $INFERD_CONFIG names, else /etc/inferd/inferd.toml with inferd.d/*.toml beside it.

    Tables of later files are laid over those of earlier ones; their pipelines are added.

    Raises:
        ConfigError: a file is missing, is no TOML, or says something that is not known.
    """
    named = explicit or (Path(environment["INFERD_CONFIG"]) if environment.get("INFERD_CONFIG") else None)
    first = named or SYSTEM_FILE
    if named is None and not os.path.lexists(first):
        return LoadedConfig(Config(), ())
    files = (first, *_drop_ins(first.parent / "inferd.d"))
    merged: Table = {}
    for file in files:
        table = _read(file)
        _convert(table, file)  # alone, so that an error names its own file
        _lay_over(merged, absolute_paths(table, Config, file.parent.absolute()))
    config = _placed(_check(_convert(merged, first), first), environment)
    return LoadedConfig(_with_credentials(config, first, environment.get("CREDENTIALS_DIRECTORY", "")), files)


def device_id(config: Config) -> str:
    """Return the configured device id, else the host name made safe for a topic.

    Raises:
        ConfigError: the configured one cannot stand in a topic.
    """
    return check_device_id(config.device) if config.device else safe_device_id(socket.gethostname())


def state_dir(config: Config, environment: Mapping[str, str]) -> Path:
    """Return where state is kept: as configured, else systemd's $STATE_DIRECTORY, else the user's own folder.

    Raises:
        ConfigError: there is none of these (a folder that others may write in would not do), or its name is not UTF-8.
    """
    folder = _named_state_dir(config, environment)
    if not str(folder).isprintable():
        raise ConfigError("state_dir", f"the name {folder} is not plain UTF-8 text; name another folder with state_dir")
    return folder


def _named_state_dir(config: Config, environment: Mapping[str, str]) -> Path:
    if config.state_dir:
        return Path(config.state_dir)
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0])
    if home := environment.get("XDG_STATE_HOME"):
        return Path(home) / "inferd"
    if home := environment.get("HOME"):
        return Path(home) / ".local" / "state" / "inferd"
    if os.getuid() == 0:
        return SYSTEM_STATE_DIR
    raise ConfigError("state_dir", "there is no HOME to keep state in; name a folder with state_dir")


def _placed(config: Config, environment: Mapping[str, str]) -> Config:
    """Return the configuration with the folders of samples filled in, for the worker knows no state directory."""
    folder = str(state_dir(config, environment) / "samples")
    placed = [
        replace(one, samples=replace(one.samples, folder=one.samples.folder or folder)) if one.samples.keep_mb else one
        for one in config.pipeline
    ]
    return replace(config, pipeline=tuple(placed))


def _is_there(file: Path) -> bool:
    """Return whether a file is there; true also where only its folder is closed to us, which reading it will tell."""
    try:
        return file.exists()
    except OSError:
        return True


def _read(file: Path) -> Table:
    """Read a file as TOML.

    Raises:
        ConfigError: it cannot be read, or is no TOML.
    """
    try:
        text = _content(file)
    except OSError as exc:
        raise ConfigError(str(file), f"cannot be read ({exc.strerror}); see `inferd config sample`") from exc
    if len(text) > MAX_BYTES:
        raise ConfigError(str(file), "is larger than 1 MiB and so no configuration")
    try:
        plain = text.removeprefix(BOM).decode()
    except UnicodeDecodeError as exc:
        line = text.count(b"\n", 0, exc.start) + 1
        raise ConfigError(str(file), f"is not UTF-8 in line {line}; save it as UTF-8") from exc
    try:
        table: Table = msgspec.toml.decode(plain)
    except RecursionError as exc:
        raise ConfigError(str(file), "is nested too deeply and so no configuration") from exc
    except (msgspec.DecodeError, ValueError) as exc:
        raise ConfigError(str(file), f"is not TOML: {exc}") from exc
    return table


def _content(file: Path) -> bytes:
    """Return a regular file's content, at most `MAX_BYTES` and one; a FIFO without a writer does not block.

    Raises:
        ConfigError: it is no regular file.
        OSError: it cannot be read.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ConfigError(str(file), "is a pipe or device and no file; see `inferd config sample`")
        return stream.read(MAX_BYTES + 1)


def _drop_ins(folder: Path) -> list[Path]:
    """Return the files that are laid over the first one, in the order of their names.

    Hidden files (an editor's lock), backups and what is no regular file are left out.

    Raises:
        ConfigError: the folder cannot be read.
    """
    try:
        return sorted(one for one in folder.iterdir() if DROP_IN.fullmatch(one.name) and one.is_file())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as exc:
        raise ConfigError(str(folder), f"cannot be read ({exc.strerror}); give its readers r and x") from exc


def _lay_over(below: Table, above: Table) -> None:
    for key, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(key), dict):
            _lay_over(below[key], value)
        elif isinstance(value, list) and isinstance(below.get(key), list):
            below[key] = [*below[key], *value]
        else:
            below[key] = value


def _convert(table: Table, file: Path) -> Config:
    try:
        return msgspec.convert(table, Config)
    except msgspec.ValidationError as exc:
        raise ConfigError(str(file), explain(exc, Config, table)) from exc


def _with_credentials(config: Config, file: Path, folder: str) -> Config:
    mqtt, missing = with_credentials(config.mqtt, folder)
    if missing:
        raise ConfigError(
            str(file), f"mqtt.{missing} names a credential, but systemd gave none; add LoadCredential= to the unit"
        )
    return msgspec.structs.replace(config, mqtt=mqtt)


def _check(config: Config, file: Path) -> Config:
    """Check what types cannot say."""
    check_prefix(config.mqtt.prefix)
    if wrong := amiss(config.mqtt):
        raise ConfigError(str(file), wrong)
    device_id(config)
    names = [pipeline.name for pipeline in config.pipeline]
    for name in names:
        check_pipeline_name(name)
        if names.count(name) > 1:
            raise ConfigError(str(file), f"two pipelines are called {name!r}; each needs a name of its own")
    if config.mqtt.seal_key_file and (
        open_ones := [one.name for one in config.pipeline if one.image.publish != "never"]
    ):
        fact = f"pipeline {open_ones[0]!r}: image.publish would send pictures in the clear beside mqtt.seal_key_file"
        raise ConfigError(str(file), f"{fact}; remove one of the two")
    if wrong := wrong_alerts(config.alert, names):
        raise ConfigError(str(file), wrong)
    ways = ((pipeline.model, pipeline.engine, pipeline.overrides) for pipeline in config.pipeline)
    engines = {msgspec.json.encode(way) for way in ways}
    if len(engines) >= SLOTS:
        raise ConfigError(str(file), f"names {len(engines)} models; one agent runs {SLOTS - 1} at the most")
    for pipeline in config.pipeline:
        if wrong := wrong_pipeline(pipeline):
            raise ConfigError(str(file), f"pipeline {pipeline.name!r}: {wrong}")
    if wrong := wrong_cascade(config.pipeline):
        raise ConfigError(str(file), wrong)
    return config
