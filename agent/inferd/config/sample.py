"""The sample configuration, generated from the settings' docstrings and defaults, so that it cannot lie about them."""

from __future__ import annotations

import inspect
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

import msgspec
import msgspec.inspect

from inferd.config import settings

HEAD = """\
# inferd's configuration. Every key is optional but `name`, `model` and `source` of a pipeline; a key that is commented out
# shows its default. `inferd config check FILE` names the first mistake in a file.
"""
EXAMPLE = settings.Pipeline(
    name="digits", model="/var/lib/inferd/models/digits", source=settings.VideoSource(path="/path/to/clip.avi")
)
FINITE = 1e12  # the bound that only keeps infinity out
REPEATED = {"alert": settings.Alert(name="hot", when="temperature_c", above=80.0)}
RULES = {
    "zone": settings.ZoneConfig(name="door", points=((0.2, 0.1), (0.2, 0.4), (0.9, 0.4), (0.9, 0.1))),
    "line": settings.LineConfig(name="gate", start=(0.5, 0.0), end=(0.5, 1.0)),
    "mask": settings.MaskConfig(points=((0.0, 0.6), (0.0, 1.0), (0.4, 1.0), (0.4, 0.6))),
    "schedule": settings.Schedule(days=("mon", "fri"), begins="07:30", ends="19:00"),
}


def sample() -> str:
    """Return a commented inferd.toml that shows every key with its default."""
    lines = [HEAD, *_keys(settings.Config, settings.Config())]
    for name, table in _tables(settings.Config()):
        lines += _table(f"[{name}]", table)
    for name, entry in REPEATED.items():
        lines += _commented(_table(f"[[{name}]]", entry))
    lines += _table("[[pipeline]]", EXAMPLE)
    for name, table in _tables(EXAMPLE):
        if name != "source":
            lines += _table(f"[pipeline.{name}]", table)
    lines += ["", *_comment("Where frames come from: one of these tables.")]
    for kind in typing.get_args(settings.Source):
        lines += ["", *_source(kind)]
    lines += ["", *_comment("Zones, lines and schedules; each of these tables may be repeated.")]
    for name, rule in RULES.items():
        lines += _commented(_table(f"[[pipeline.{name}]]", rule))
    return "\n".join(lines) + "\n"


def _tables(parent: msgspec.Struct) -> Iterator[tuple[str, msgspec.Struct]]:
    """Yield the tables that a table has once, in the order of its keys."""
    for name in parent.__struct_fields__:
        if isinstance(value := getattr(parent, name), msgspec.Struct):
            yield name, value


def _table(head: str, value: msgspec.Struct) -> list[str]:
    return ["", *_comment(_summary(type(value))), head, *_keys(type(value), value)]


def _commented(lines: list[str]) -> list[str]:
    return [line if not line or line.startswith("#") else f"# {line}" for line in lines]


def _source(kind: type[msgspec.Struct]) -> Iterator[str]:
    """Yield the table of one kind of source; commented out unless it is the example's."""
    used = isinstance(EXAMPLE.source, kind)
    value = EXAMPLE.source if used else None
    body = [
        *_comment(_summary(kind)),
        "[pipeline.source]",
        f'kind = "{kind.__struct_config__.tag}"',
        *_keys(kind, value),
    ]
    yield from body if used else _commented(body)


def _keys(kind: type[msgspec.Struct], value: Any) -> Iterator[str]:  # Any: one of the settings, or none
    """Yield a comment and a line for each key that holds a plain value."""
    told, nodes = _attributes(kind), {field.name: field.type for field in _fields(kind)}
    for field in msgspec.structs.fields(kind):
        if _holds_tables(nodes[field.name]):
            continue
        yield from _comment(f"{told[field.name].removesuffix('.')}{_bounds(nodes[field.name])}.")
        given = getattr(value, field.name) if value is not None else field.default
        required = field.required
        shown = "..." if given is msgspec.NODEFAULT else _toml(given)
        yield f"{'' if required else '# '}{field.name} = {shown}"


def _fields(kind: type[msgspec.Struct]) -> tuple[msgspec.inspect.Field, ...]:
    node = msgspec.inspect.type_info(kind)
    return node.fields if isinstance(node, msgspec.inspect.StructType) else ()


def _holds_tables(node: msgspec.inspect.Type) -> bool:
    """Return whether a key is a table, one of several, or a list of them."""
    if isinstance(node, msgspec.inspect.UnionType):
        return any(map(_holds_tables, node.types))
    inner = node.item_type if isinstance(node, msgspec.inspect.VarTupleType) else node
    return isinstance(inner, msgspec.inspect.StructType)


def _bounds(node: msgspec.inspect.Type) -> str:
    """Return "; 1 to 65,535" for a number, "" for a value without bounds."""
    for inner in node.types if isinstance(node, msgspec.inspect.UnionType) else (node,):
        number = inner.type if isinstance(inner, msgspec.inspect.Metadata) else inner
        if isinstance(number, msgspec.inspect.IntType | msgspec.inspect.FloatType) and number.le is not None:
            return "" if number.le == FINITE else f"; {_plain(number.ge or 0)} to {_plain(number.le)}"
    return ""


def _plain(bound: float) -> str:
    return f"{bound:,.0f}" if float(bound).is_integer() else f"{bound:g}"


def _toml(value: Any) -> str:  # Any: a plain TOML value
    if value is None:
        return "..."
    return msgspec.json.format(msgspec.json.encode(value), indent=-1).decode()  # plain values read the same in TOML


def _summary(kind: type[msgspec.Struct]) -> str:
    return (inspect.getdoc(kind) or "").split("\n\nAttributes:")[0].replace("\n", " ")


def _attributes(kind: type[msgspec.Struct]) -> dict[str, str]:
    """Return what the docstring's "Attributes:" section says of each key."""
    section = (inspect.getdoc(kind) or "").partition("Attributes:\n")[2]
    told: dict[str, str] = {}
    name = ""
    for line in textwrap.dedent(section).splitlines():
        if line.startswith(" "):
            told[name] += " " + line.strip()
        elif line:
            name, _, told[name] = (part.strip() for part in line.partition(": "))
    return told


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent="# ", subsequent_indent="# ")
