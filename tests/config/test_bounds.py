"""Every key of the configuration has bounds in its type, and a value outside of them is refused by the key's name."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from msgspec import inspect

from config.schema import Key, keys
from inferd.config.load import load
from inferd.errors import ConfigError

KEYS = keys()
NUMBERS = [key for key in KEYS if isinstance(getattr(key.kind, "type", key.kind), inspect.IntType | inspect.FloatType)]
TEXTS = [key for key in KEYS if isinstance(getattr(key.kind, "type", key.kind), inspect.StrType)]
WRONG_TYPES = ("text", True, ["a"], {"a": 1})
OUTSIDE = (math.inf, -math.inf, math.nan, 1e30, 10**30, -(10**30))
EDGES = (-1, 0, 0.0, -1.5)


def toml(table: object) -> str:
    """Return a value as an inline TOML value."""
    if isinstance(table, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(value)}" for key, value in table.items()) + "}"
    if isinstance(table, list | tuple):
        return "[" + ", ".join(map(toml, table)) + "]"
    if isinstance(table, float) and not math.isfinite(table):
        return str(table)
    return str(table).lower() if isinstance(table, bool | int | float) else json.dumps(table)


def outcome(folder: Path, key: Key, value: object) -> str:
    """Return what the loader says of a key's value, "" where it takes it."""
    file = folder / "inferd.toml"
    text = "".join(f"{json.dumps(name)} = {toml(one)}\n" for name, one in key.given(value).items())
    file.write_text(text)
    try:
        load(file, {"HOME": "/root"})
    except ConfigError as exc:
        return str(exc)
    return ""


def bounds(key: Key) -> tuple[float, float]:
    kind = getattr(key.kind, "type", key.kind)
    assert isinstance(kind, inspect.IntType | inspect.FloatType)
    return -math.inf if kind.ge is None else kind.ge, math.inf if kind.le is None else kind.le


def test_the_walk_reaches_every_table() -> None:
    assert len(KEYS) > 200
    titles = {key.title for key in KEYS}
    assert {"mqtt.port", "pipeline.0.zone.0.points.0.1", "pipeline.0.source.hop(lines)", "models.keep_mb"} <= titles


@pytest.mark.parametrize("key", NUMBERS, ids=lambda key: key.title)
def test_every_number_has_a_lower_and_an_upper_bound(key: Key) -> None:
    low, high = bounds(key)
    assert math.isfinite(low)
    assert math.isfinite(high)


@pytest.mark.parametrize("key", TEXTS, ids=lambda key: key.title)
def test_every_text_has_a_form_or_a_longest_length(key: Key) -> None:
    kind = getattr(key.kind, "type", key.kind)
    assert isinstance(kind, inspect.StrType)
    assert kind.max_length is not None or kind.pattern is not None


@pytest.mark.parametrize("key", NUMBERS, ids=lambda key: key.title)
def test_a_number_outside_its_bounds_is_refused_by_name(key: Key, tmp_path: Path) -> None:
    low, high = bounds(key)
    for value in (*OUTSIDE, *EDGES):
        refused = outcome(tmp_path, key, value)
        if not low <= value <= high:
            assert key.name in refused, f"{value} is taken, or refused without its name: {refused!r}"
        assert not refused or str(tmp_path / "inferd.toml") in refused or key.name in refused


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.title)
def test_a_value_of_the_wrong_type_is_refused_by_name(key: Key, tmp_path: Path) -> None:
    kinds = [getattr(one.kind, "type", one.kind) for one in KEYS if one.path == key.path]  # several, of a union
    types = ((inspect.StrType, str), (inspect.BoolType, bool))
    fits = tuple(value for kind in kinds for type_, value in types if isinstance(kind, type_))
    for value in WRONG_TYPES:
        if not isinstance(value, fits):
            refused = outcome(tmp_path, key, value)
            assert key.name in refused, f"{value!r} is taken, or refused without its name: {refused!r}"
            assert "`" not in refused.replace("`inferd", ""), f"msgspec's own words: {refused}"


@pytest.mark.parametrize("key", TEXTS, ids=lambda key: key.title)
def test_a_text_with_a_null_or_of_5000_characters_is_refused_by_name(key: Key, tmp_path: Path) -> None:
    scripts = "source.command" in key.title  # an argument of a program may have several lines
    for value in ("a\0b", "a" * 5_000, *(() if scripts else ("a\nb",))):
        assert key.name in outcome(tmp_path, key, value)
