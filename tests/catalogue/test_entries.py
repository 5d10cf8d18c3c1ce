from __future__ import annotations

import re

import pytest

from inferd.catalogue.deliver import NAME
from inferd.catalogue.entries import CatalogueEntry, entries, find_entry
from inferd.errors import ModelError
from inferd.store.description.manifest_file import parse_manifest

ALL = pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.name)


@ALL
def test_every_manifest_is_one_and_says_the_task(entry: CatalogueEntry) -> None:
    assert parse_manifest(entry.name, entry.manifest.encode()).model.task is not None


@ALL
def test_every_entry_says_licence_source_and_digests(entry: CatalogueEntry) -> None:
    assert entry.licence in ("Apache-2.0", "Zlib")
    assert entry.home.startswith("https://")
    assert len(entry.sha256) == 64
    if entry.url:  # at one commit, so that it stays what it is
        assert re.fullmatch(r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/[0-9a-f]{40}/.*\.tflite", entry.url)
    else:
        assert entry.source.startswith("PyPI ")
        assert len(entry.wheel_sha256) == 64
    assert NAME.fullmatch(entry.name)


def test_no_two_entries_share_a_name() -> None:
    names = [entry.name for entry in entries()]
    assert len(set(names)) == len(names)


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ModelError, match="did you mean 'faces'"):
        find_entry("face")
