"""Reads the configuration: files into frozen structs, with every mistake named by file, key and nearest match."""

from __future__ import annotations

import difflib
import os
import re
import socket
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from inferd.config.check_alerts import wrong_alerts
from inferd.config.check_zones import wrong_cascade, wrong_rules
from inferd.config.mqtt import amiss, with_credentials
from inferd.config.settings import Config
from inferd.errors import ConfigError
from inferd.system.processes.heartbeats import SLOTS
from inferd.wire.topics import check_device_id, check_pipeline_name, check_prefix, safe_device_id

SYSTEM_FILE = Path("/etc/inferd/inferd.toml")
SYSTEM_STATE_DIR = Path("/var/lib/inferd")
MAX_BYTES = 1024 * 1024

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
    if named is None and not first.exists():
        return LoadedConfig(Config(), ())
    files = (first, *sorted((first.parent / "inferd.d").glob("*.toml")))
    merged: Table = {}
    for file in files:
        table = _read(file)
        _convert(table, file)  # alone, so that a mistake is named with its own file
        _lay_over(merged, table)
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
        ConfigError: there is none of these; a folder that others may write in would not do.
    """
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


def _read(file: Path) -> Table:
    try:
        with file.open("rb") as stream:
            text = stream.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ConfigError(str(file), f"cannot be read ({exc.strerror}); see `inferd config sample`") from exc
    if len(text) > MAX_BYTES:
        raise ConfigError(str(file), "is larger than 1 MiB and so no configuration")
    try:
        table: Table = msgspec.toml.decode(text)
    except msgspec.DecodeError as exc:
        raise ConfigError(str(file), f"is not TOML: {exc}") from exc
    return table


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
        raise ConfigError(str(file), _explain(str(exc), table)) from exc


def _explain(text: str, table: Table) -> str:
    """Turn msgspec's sentence into ours: which key, what is wrong, and what was probably meant."""
    what, _, where = text.partition(" - at `$")
    path = where.removesuffix("`").lstrip(".")
    place = f"[{path}]" if path else "the top level"
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", what):
        known = _known_keys(Config, path, table)
        near = difflib.get_close_matches(unknown[1], known, n=1)
        meant = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
        return f"{place} has no key {unknown[1]!r}; {meant}"
    if missing := re.fullmatch(r"Object missing required field `(.+)`", what):
        return f"{place} lacks the key {missing[1]!r}"
    if invalid := re.fullmatch(r"Invalid (?:enum )?value '?(.+?)'?", what):
        return f"{path}: {invalid[1]!r} is not one of {', '.join(_choices(Config, path, table))}"
    return f"{path}: {what[0].lower()}{what[1:]}"


def _steps(path: str) -> list[str]:
    return [step for step in re.split(r"[.\[\]]+", path) if step]


def _type_at(kind: Any, path: str, table: Any) -> Any:  # Any: types and TOML values of every kind
    """Follow a path such as "pipeline[0].source" through the settings' types; unions are decided by `kind`."""
    for step in _steps(path):
        if step in ("...", "key") or step.isdigit():
            kind = typing.get_args(kind)[0] if typing.get_args(kind) else kind
            table = table[int(step)] if step.isdigit() and isinstance(table, list) else {}
        else:
            kind = typing.get_type_hints(kind)[step]
            table = table.get(step, {}) if isinstance(table, dict) else {}
        if typing.get_origin(kind) is types.UnionType and isinstance(table, dict) and "kind" in table:
            tagged = [one for one in typing.get_args(kind) if one.__struct_config__.tag == table["kind"]]
            kind = tagged[0] if tagged else kind
    return kind


def _known_keys(kind: Any, path: str, table: Table) -> list[str]:  # Any: see _type_at
    fields = getattr(_type_at(kind, path, table), "__struct_fields__", ())
    return sorted(fields)


def _choices(kind: Any, path: str, table: Table) -> list[str]:  # Any: see _type_at
    if path.endswith(".kind"):
        union = _type_at(kind, path.removesuffix(".kind"), {})
        return [repr(one.__struct_config__.tag) for one in typing.get_args(union)]
    return [repr(choice) for choice in typing.get_args(_type_at(kind, path, table)) if choice is not type(None)]


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
    if wrong := wrong_alerts(config.alert, names):
        raise ConfigError(str(file), wrong)
    ways = ((pipeline.model, pipeline.engine, pipeline.overrides) for pipeline in config.pipeline)
    engines = {msgspec.json.encode(way) for way in ways}
    if len(engines) >= SLOTS:
        raise ConfigError(str(file), f"names {len(engines)} models; one agent runs {SLOTS - 1} at the most")
    for pipeline in config.pipeline:
        y0, x0, y1, x1 = pipeline.roi
        if not (0 <= y0 < y1 <= 1 and 0 <= x0 < x1 <= 1):
            raise ConfigError(str(file), f"pipeline {pipeline.name!r}: roi is y0, x0, y1, x1 with 0 <= y0 < y1 <= 1")
        if wrong := wrong_rules(pipeline):
            raise ConfigError(str(file), f"pipeline {pipeline.name!r}: {wrong}")
    if wrong := wrong_cascade(config.pipeline):
        raise ConfigError(str(file), wrong)
    return config
