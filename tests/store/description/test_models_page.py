"""docs/models.md says what the manifest has, and nothing else."""

from __future__ import annotations

import re
import typing

import msgspec

from fixtures.paths import PROJECT
from inferd.store.description.inputs import LETTERBOX_FILL
from inferd.store.description.manifest_file import parse_manifest
from inferd.store.description.outputs import BLAZEFACE_IOU, THRESHOLDS, TOP_K
from inferd.wire.manifest import Manifest

PAGE = (PROJECT / "docs" / "models.md").read_text(encoding="utf-8")
KEYS = PAGE.partition("## The manifest, key by key")[2]


def sections() -> dict[str, type[msgspec.Struct]]:
    hints = typing.get_type_hints(Manifest)
    return {name: kind for name, kind in hints.items() if issubclass(kind, msgspec.Struct)}


def documented() -> dict[str, set[str]]:
    """Return the keys that the page lists, by section."""
    found: dict[str, set[str]] = {}
    for first in re.findall(r"^\| ([^|]+) \|", KEYS, re.MULTILINE):
        if heading := re.match(r"\*\*\[(\w+)\]\*\*", first):
            found[heading[1]] = set()
        elif found:
            found[list(found)[-1]] |= set(re.findall(r"`(\w+)`", first))
    return found


def test_the_page_lists_every_key_and_no_other() -> None:
    assert documented() == {name: set(kind.__struct_fields__) for name, kind in sections().items()}


def test_the_page_lists_every_choice() -> None:
    for kind in sections().values():
        for hint in typing.get_type_hints(kind).values():
            for option in typing.get_args(hint):
                assert all(f"`{choice}`" in KEYS for choice in typing.get_args(option) if isinstance(choice, str))


def test_the_page_states_the_defaults_there_are() -> None:
    assert f"classify {THRESHOLDS['classify']} and {TOP_K['classify']}; detect {THRESHOLDS['detect']} and" in PAGE
    assert f"detect {THRESHOLDS['detect']} and {TOP_K['detect']}" in PAGE
    assert f"BlazeFace {BLAZEFACE_IOU}" in PAGE
    assert f"bars ({LETTERBOX_FILL})" in PAGE


def test_the_example_manifest_is_one() -> None:
    for example in re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL):
        assert parse_manifest("example.toml", example.encode()).output.labels == ("no person", "person")
