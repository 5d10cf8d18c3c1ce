"""A downgrade of the state's format is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from inferd.control.state_version import FILE, FORMAT, claim
from inferd.errors import ConfigError


def test_a_new_folder_is_marked(tmp_path: Path) -> None:
    claim(tmp_path / "state", "1.0")
    assert (tmp_path / "state" / FILE).read_bytes() == b'{"format":%d,"version":"1.0"}' % FORMAT


def test_a_newer_format_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"format": 99, "version": "9.1"}')
    with pytest.raises(ConfigError, match=r"was written by inferd 9\.1 in state format 99, and inferd 1\.0 knows 1"):
        claim(tmp_path, "1.0")


def test_what_a_newer_inferd_wrote_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"format": 99, "version": "9.1"}')
    with pytest.raises(ConfigError):
        claim(tmp_path, "1.0")
    assert "99" in (tmp_path / FILE).read_text()


def test_an_older_inferd_of_the_same_format_is_welcome(tmp_path: Path) -> None:
    claim(tmp_path, "2.0")
    claim(tmp_path, "1.0")
    assert "2.0" in (tmp_path / FILE).read_text()


def test_a_damaged_mark_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{")
    claim(tmp_path, "1.0")
    assert "1.0" in (tmp_path / FILE).read_text()


def test_a_folder_that_cannot_be_written_is_no_reason_to_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    claim(tmp_path / "file" / "state", "1.0")
