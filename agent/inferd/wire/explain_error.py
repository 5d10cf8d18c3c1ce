"""Turns msgspec's errors into sentences for people: which key, what is wrong, and what was probably meant."""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec

KINDS = {
    "object": "a table",
    "array": "a list",
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
}
LONGEST_SHOWN = 80
LOGIN = re.compile(r"//.*@")
WITHOUT_INDEX = re.compile(r"\[\d+\]")
STEP = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)")


def explain(error: msgspec.ValidationError, kind: Any, value: object) -> str:  # Any: a type hint of any kind
    """Return why `value` is no `kind`, as one sentence without its end.

    Args:
        error: what msgspec raised when it converted the value.
        kind: the struct that was expected.
        value: the table that was converted: dicts, lists and plain values.
    """
    what, _, where = str(error).partition(" - at ")
    path = where.rpartition("`$")[2].removesuffix("`").lstrip(".")
    if what.startswith("Object "):
        return _wrong_table(what, path, kind, value)
    if "[...]" in path or where.startswith("`key`"):  # msgspec does not say which of the free keys
        wanted = KINDS.get(what.split("`")[1], "another value") if "got" in what else "a name or value of another form"
        return f"{_titled(path.partition('[...]')[0], value)} holds something wrong; {wanted} is needed"
    return f"{_titled(path, value)} {_wrong_value(what, path, kind, value)}"


def _wrong_table(what: str, path: str, kind: Any, value: object) -> str:  # Any: a type hint
    """Return which key is unknown or missing in the table at a path."""
    hint, _ = _follow(kind, value, path)
    table = _table(path)
    key = what.split("`")[1]
    if "unknown" in what:
        return f"{table} has no key {key[:LONGEST_SHOWN]!r}; {_meant(key, hint, table, kind)}"
    known = f"; there are {', '.join(_choices(hint))}" if key == "kind" else ""
    return f"{table} lacks the key {key!r}{known}"


def _wrong_value(what: str, path: str, kind: Any, value: object) -> str:  # Any: a type hint
    """Return what the value at a path is, and what it must be."""
    hint, given = _follow(kind, value, path)
    if what.startswith("Invalid "):
        union = _follow(kind, value, path.removesuffix(".kind"))[0] if path.endswith(".kind") else hint
        return f"is {_shown(given)}; there are {', '.join(_choices(union))}"
    if wrong := re.fullmatch(r"Expected `([^`]+)`, got `\w+`", what):
        wanted = [KINDS.get(name, name) for name in wrong[1].split(" | ") if name != "null"]
        example = f", such as {_table(path)}" if wanted == ["a table"] else ""
        return f"is {_shown(given)}; it must be {' or '.join(wanted)}{example}"
    if "of length" in what and isinstance(given, str | list):
        return f"has {len(given):,} {_length(what)}"
    if what.startswith("Expected "):
        return f"is {_shown(given)}; it must {_rule(what, hint)}"
    return f"cannot be: {what[:1].lower()}{what[1:]}"


def _table(path: str) -> str:
    return f"[{WITHOUT_INDEX.sub('', path)}]" if path else "the top level"


def _titled(path: str, root: object) -> str:
    """Return a path for people: "pipeline 'door': source.path" for "pipeline[1].source.path"."""
    first = re.match(r"(\w+)\[(\d+)\]\.?", path)
    entry = root.get(first[1]) if first and isinstance(root, dict) else None
    entry = entry[int(first[2])] if first and isinstance(entry, list) else None
    if first is None or not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        return path or "the file"
    rest = path[first.end() :]
    return path if rest in ("", "name") else f"{first[1]} {entry['name'][:LONGEST_SHOWN]!r}: {rest}"


def _meant(key: str, hint: Any, table: str, root: Any) -> str:  # Any: type hints
    """Return the key of the same table that is nearest, else the table below it or elsewhere that has such a key."""
    known = list(getattr(hint, "__struct_fields__", ()))
    near = difflib.get_close_matches(key, known, n=1)
    for prefix, parent in ((f"{table.strip('[]')}.", hint), ("", root)):
        tables = ((f"[{prefix.removeprefix('the top level.')}{name}]", one) for name, one in _hints(parent).items())
        near += [f"{name} {key}" for name, one in tables if key in getattr(one, "__struct_fields__", ())]
    return f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"


def _length(what: str) -> str:
    """Return "values; it must have 4" for "Expected `array` of length 4, got 3"."""
    unit = "characters" if "`str`" in what else "values"
    bound = what.rpartition("length ")[2].partition(",")[0]
    limit = bound.replace("<= ", "at most ").replace(">= ", "at least ")
    return f"{unit}; it must have {limit}"


def _rule(what: str, hint: Any) -> str:  # Any: a type hint
    """Return what a value must be, both ends of its bounds told."""
    meta = next((one for part in _parts(hint) for one in _metas(part)), msgspec.Meta())
    if "matching regex" in what:
        return f"be {meta.description}" if meta.description else "have another form"
    low, high = meta.ge, meta.le
    if low is None or high is None:
        return f"be {what.removeprefix('Expected ').partition('` ')[2]}"
    return f"lie between {_number(low)} and {_number(high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:g}"


def _shown(value: object) -> str:
    """Return a value as TOML has it; long ones cut, a login in an address left out."""
    if isinstance(value, list | dict):
        return KINDS["array" if isinstance(value, list) else "object"]
    text = repr(value) if isinstance(value, str) else str(value).lower()
    return LOGIN.sub("//...@", text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}...")


def _follow(hint: Any, value: Any, path: str) -> tuple[Any, Any]:  # Any: type hints, and TOML values of every kind
    """Return the type and the value at a path such as "pipeline[0].source.path"; None for a value that is not there."""
    for index, key in STEP.findall(path):
        inner = _plain(hint)
        if key:
            hint = _hints(inner).get(key)
            value = value.get(key) if isinstance(value, dict) else None
        else:
            hint = _element(inner, index)
            value = value[int(index)] if index.isdigit() and isinstance(value, list) else None
        hint = _tagged(hint, value)
    return hint, value


def _element(hint: Any, index: str) -> Any:  # Any: type hints
    """Return the type of a tuple's element or of a dict's value."""
    given = [one for one in typing.get_args(hint) if one is not Ellipsis]
    if not given:
        return None
    return given[min(int(index), len(given) - 1)] if index.isdigit() else given[-1]


def _tagged(hint: Any, value: object) -> Any:  # Any: type hints
    """Return the struct of a union that `kind` names."""
    if isinstance(value, dict):
        for one in _parts(hint):
            if (config := getattr(one, "__struct_config__", None)) and config.tag and config.tag == value.get("kind"):
                return one
    return hint


@cache
def _hints(kind: Any) -> dict[str, Any]:  # Any: type hints
    return typing.get_type_hints(kind, include_extras=True) if hasattr(kind, "__struct_fields__") else {}


def _plain(hint: Any) -> Any:  # Any: type hints
    """Return a type without its bounds and without None."""
    parts = [part for part in _parts(hint) if part is not types.NoneType]
    hint = parts[0] if len(parts) == 1 else hint
    return typing.get_args(hint)[0] if typing.get_origin(hint) is typing.Annotated else hint


def _parts(hint: Any) -> tuple[Any, ...]:  # Any: type hints
    union = typing.get_origin(hint) in (types.UnionType, typing.Union)
    return typing.get_args(hint) if union else (hint,)


def _metas(hint: Any) -> Iterator[msgspec.Meta]:  # Any: a type hint
    yield from (one for one in getattr(hint, "__metadata__", ()) if isinstance(one, msgspec.Meta))


def _choices(
    hint: Any,
) -> list[str]:  # Any: a type hint: a Literal, perhaps within a union, or a union of tagged structs
    tags = [part.__struct_config__.tag for part in _parts(hint) if hasattr(part, "__struct_config__")]
    return tags or [one for part in _parts(hint) for one in typing.get_args(_plain(part)) if isinstance(one, str)]
