"""Walks the structs of the configuration, so that a test of every key cannot miss a new one."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

from inferd.config.settings import Config

Table = dict[str, Any]  # Any: TOML values
Path = tuple[str | int, ...]

FREE = "free"  # a key of a table that takes any
PIPELINE: Table = {"name": "a", "source": {"kind": "synthetic"}}
REQUIRED: dict[str, Any] = {  # Any: TOML values
    "path": "/in",
    "url": "rtsp://cam/live",
    "device": "imu",
    "of": "b",
    "name": "n",
    "when": "fps",
    "points": [[0, 0], [0, 1], [1, 1]],
    "start": [0, 0],
    "end": [1, 1],
}


@dataclass(frozen=True)
class Key:
    """A key that takes a plain value: where it stands, its type and its bounds, and a configuration that has it."""

    path: Path
    kind: inspect.Type
    base: Table

    @property
    def name(self) -> str:
        """The last name of the path, which every error about it holds."""
        return next(str(step) for step in reversed(self.path) if isinstance(step, str) and step != FREE)

    @property
    def title(self) -> str:
        source = f"({self.base['pipeline'][0]['source']['kind']})" if "source" in self.path else ""
        return ".".join(map(str, self.path)) + source

    def given(self, value: object) -> Table:
        """Return the configuration in which this key has a value."""
        table = copy.deepcopy(self.base)
        inner: Any = table  # Any: a table or list
        for step, following in zip(self.path[:-1], self.path[1:], strict=True):
            if isinstance(step, int):
                while len(inner) <= step:
                    inner.append({} if isinstance(following, str) else [])
            elif step not in inner:
                inner[step] = {} if isinstance(following, str) else []
            inner = inner[step]
        last = self.path[-1]
        if isinstance(last, int) and last >= len(inner):
            inner.append(value)
        else:
            inner[last] = value
        return table


def keys() -> list[Key]:
    """Return every key of every table, each kind of source among them."""
    return list(_walk(inspect.type_info(Config), (), {}))


def _walk(kind: inspect.Type, path: Path, base: Table) -> Iterator[Key]:
    match kind:
        case inspect.StructType(fields=fields, cls=cls):
            for field in fields:
                yield from _walk(field.type, (*path, field.encode_name), _with(base, path, cls))
        case inspect.VarTupleType(item_type=item) | inspect.Metadata(type=inspect.VarTupleType(item_type=item)):
            yield from _walk(item, (*path, 0), base)
        case inspect.TupleType(item_types=items):
            for index, item in enumerate(items):
                yield from _walk(item, (*path, index), base)
        case inspect.DictType(value_type=value):
            yield from _walk(value, (*path, FREE), base)
        case inspect.UnionType(types=types):
            for one in (one for one in types if not isinstance(one, inspect.NoneType)):
                yield from _walk(one, path, base)
        case _:
            yield Key(path, kind, base)


def _with(base: Table, path: Path, cls: type) -> Table:
    """Return the configuration with the required keys of a table that is reached."""
    if not path:
        return base
    made: Table = {name: REQUIRED[name] for name in _required(cls) if name != "source"}
    tag = getattr(cls, "__struct_config__").tag  # noqa: B009 - of msgspec's, which types do not know here
    made |= {"kind": tag} if tag else {}
    if path == ("pipeline", 0):
        made = dict(PIPELINE)
    return Key(path, inspect.AnyType(), base).given(made) if made else base


def _required(cls: type) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(cls) if field.required]
