"""Files that are whole or not there."""

from __future__ import annotations

import grp
import hashlib
import io
import os
from pathlib import Path

import pytest

from inferd.system.files.atomic import (
    SHARED,
    copy_hashed,
    make_folder,
    make_shared_folder,
    put,
    remove_unfinished,
    write_atomic,
)


class Failing(io.BytesIO):
    """Gives some bytes, then fails as a bad disk does."""

    def read(self, size: int | None = -1, /) -> bytes:
        if self.tell() > 0:
            raise OSError(5, "Input/output error")
        return super().read(size)


def names_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def test_content_is_written_whole(tmp_path: Path) -> None:
    write_atomic(tmp_path / "state", b"one")
    write_atomic(tmp_path / "state", b"two")
    assert ((tmp_path / "state").read_bytes(), names_in(tmp_path)) == (b"two", ["state"])


def test_a_write_that_cannot_end_leaves_what_was_there(tmp_path: Path) -> None:
    target = tmp_path / "state"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomic(target, b"new")
    assert names_in(tmp_path) == ["state"]


def test_a_copy_tells_its_digest_and_size_before_it_is_put_in_place(tmp_path: Path) -> None:
    copied = copy_hashed(io.BytesIO(b"abc"), tmp_path)
    put(copied.path, tmp_path / "blob")
    told = (copied.sha256, copied.size_bytes, names_in(tmp_path))
    assert told == (hashlib.sha256(b"abc").hexdigest(), 3, ["blob"])


def test_a_copy_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"):
        copy_hashed(Failing(b"x" * 10), tmp_path)
    assert names_in(tmp_path) == []


def test_folders_are_made_with_those_above_them(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_leftovers_are_removed_and_counted(tmp_path: Path) -> None:
    (tmp_path / ".unfinished-x").touch()
    (tmp_path / "kept").touch()
    assert (remove_unfinished(tmp_path), names_in(tmp_path)) == (1, ["kept"])


def test_a_shared_folder_is_its_groups_whatever_the_mask_of_the_process(tmp_path: Path) -> None:
    own = grp.getgrgid(os.getgid()).gr_name
    before = os.umask(0o077)
    try:
        make_shared_folder(tmp_path / "models", own)
    finally:
        os.umask(before)
    made = (tmp_path / "models").stat()
    assert (made.st_mode & 0o7777, made.st_gid) == (SHARED, os.getgid())


def test_a_shared_folder_is_made_where_there_is_no_such_group(tmp_path: Path) -> None:
    make_shared_folder(tmp_path / "models", "no such group")
    assert (tmp_path / "models").stat().st_mode & 0o7777 == SHARED


def test_a_shared_folder_that_is_there_stays_as_its_owner_wants_it(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir(mode=0o700)
    make_shared_folder(tmp_path / "models", "no such group")
    assert (tmp_path / "models").stat().st_mode & 0o7777 == 0o700


def test_a_shared_folder_is_not_made_where_its_parent_is_away(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make_shared_folder(tmp_path / "nfs" / "models", "no such group")
