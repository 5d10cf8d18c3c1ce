"""Text from outside is written so that every encoder and terminal accepts it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from inferd.errors import SourceError
from inferd.foreign_text import printable


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("plain name.txt", "plain name.txt"),
        ("Küche 猫", "Küche 猫"),
        (os.fsdecode(b"f\xfcr.txt"), "f\\xfcr.txt"),
        (Path(os.fsdecode(b"/a\xff/b")), "/a\\xff/b"),
        ("half \ud83d", "half \\ud83d"),
        ("clear\x1b[2J", "clear\\x1b[2J"),
        ("bell\x07 and c1\x9b", "bell\\x07 and c1\\x9b"),
        ("two\n\tlines", "two\n\tlines"),
        ("", ""),
    ],
)
def test_a_foreign_text_is_written_so_that_it_can_be_told_apart(text: str | Path, written: str) -> None:
    assert printable(text) == written
    msgspec.json.encode(printable(text))


def test_an_error_about_a_foreign_name_can_be_sent() -> None:
    name = os.fsdecode(b"f\xfcr.txt")
    error = SourceError(name, f"cannot open {name}")
    assert msgspec.json.encode([error.part, error.message, str(error)]).decode().count("f\\\\xfcr.txt") == 4
