"""The sample configuration, generated from the settings' docstrings and defaults, so that it cannot lie about them."""

from __future__ import annotations

import inspect
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

from inferd.config import settings

HEAD = """\
# inferd's configuration. Every key is optional but `name`, `model` and `source` of a pipeline; a key that is commented out
# shows its default. `inferd config check FILE` tells what is wrong with a file.
"""
EXAMPLE = settings.Pipeline(
    name="digits", model="/var/lib/inferd/models/digits", source=settings.VideoSource(path="/path/to/clip.avi")
)
REPEATED = {"alert": settings.Alert(name="hot", when="temperature_c", above=80.0)}
RULES = {
    "zone": settings.ZoneConfig(name="door", points=((0.2, 0.1), (0.2, 0.4), (0.9, 0.4), (0.9, 0.1))),
    "line": settings.LineConfig(name="gate", start=(0.5, 0.0), end=(0.5, 1.0)),
    "schedule": settings.Schedule(days=("mon", "fri"), begins="07:30", ends="19:00"),
}


def sample() -> str:
    """Return a commented inferd.toml that shows every key with its default."""
    lines = [HEAD]
    lines += _keys(settings.Config, settings.Config())
    for name, kind in (
        ("mqtt", settings.Mqtt),
        ("metrics", settings.MetricsConfig),
        ("homeassistant", settings.HomeAssistant),
        ("http", settings.Http),
        ("watch", settings.Watch),
    ):
        lines += ["", *_comment(_summary(kind)), f"[{name}]", *_keys(kind, kind())]
    for name, table in REPEATED.items():
        body = [*_comment(_summary(type(table))), f"[[{name}]]", *_keys(type(table), table)]
        lines += ["", *(line if line.startswith("#") else f"# {line}" for line in body)]
    lines += ["", *_comment(_summary(settings.Pipeline)), "[[pipeline]]", *_keys(settings.Pipeline, EXAMPLE)]
    for name in ("pace", "engine", "overrides", "report", "quality", "track", "samples"):
        value = getattr(EXAMPLE, name)
        lines += ["", *_comment(_summary(type(value))), f"[pipeline.{name}]", *_keys(type(value), value)]
    lines += ["", *_comment("Where frames come from: one of these.")]
    for kind in typing.get_args(settings.Source):
        lines += ["", *_source(kind)]
    lines += ["", *_comment("What people make of boxes; each of these tables may be repeated.")]
    for name, rule in RULES.items():
        body = [*_comment(_summary(type(rule))), f"[[pipeline.{name}]]", *_keys(type(rule), rule)]
        lines += ["", *(line if line.startswith("#") else f"# {line}" for line in body)]
    return "\n".join(lines) + "\n"


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
    yield from body if used else [line if line.startswith("#") else f"# {line}" for line in body]


def _keys(kind: type[msgspec.Struct], value: Any) -> Iterator[str]:  # Any: one of the settings, or none
    """Yield a comment and a line for each key that holds a plain value."""
    told = _attributes(kind)
    for field in msgspec.structs.fields(kind):
        if isinstance(field.default, msgspec.Struct) or field.name in ("source", "pipeline", *REPEATED, *RULES):
            continue
        yield from _comment(told[field.name])
        given = getattr(value, field.name) if value is not None else field.default
        required = field.required
        shown = "..." if given is msgspec.NODEFAULT else _toml(given)
        yield f"{'' if required else '# '}{field.name} = {shown}"


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
