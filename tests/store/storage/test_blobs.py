"""Blobs: stored once, whole, under their digest."""

from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path

import pytest

from inferd.errors import ModelError, StoreError
from inferd.store.storage.blobs import Blobs, store_error

CONTENT = b"weights" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "state" / "blobs")


def test_a_file_is_stored_under_its_digest(blobs: Blobs, source: Path) -> None:
    blob = blobs.add(source)
    assert (blob.digest, blob.size_bytes, blob.path.read_bytes()) == (DIGEST, len(CONTENT), CONTENT)


def test_a_blob_is_read_only(blobs: Blobs, source: Path) -> None:
    assert blobs.add(source).path.stat().st_mode & 0o222 == 0


def test_overwriting_the_source_does_not_touch_the_blob(blobs: Blobs, source: Path) -> None:
    blob = blobs.add(source)
    source.write_bytes(b"other")
    assert blob.path.read_bytes() == CONTENT


def test_adding_what_is_there_writes_nothing(blobs: Blobs, source: Path) -> None:
    first = blobs.add(source).path.stat()
    second = blobs.add(source).path.stat()
    assert (first.st_ino, first.st_mtime_ns) == (second.st_ino, second.st_mtime_ns)


def test_a_damaged_blob_is_replaced(blobs: Blobs, source: Path) -> None:
    path = blobs.add(source).path
    path.chmod(0o644)
    path.write_bytes(b"rotten")
    assert blobs.add(source).path.read_bytes() == CONTENT


def test_adding_leaves_nothing_unfinished(blobs: Blobs, source: Path) -> None:
    folder = blobs.add(source).path.parent
    assert [one.name for one in folder.iterdir()] == [DIGEST]


def test_what_a_killed_process_left_is_swept(blobs: Blobs, source: Path) -> None:
    folder = blobs.add(source).path.parent
    (folder / ".unfinished-abc").write_bytes(b"half")
    assert (blobs.sweep(), [one.name for one in folder.iterdir()]) == (1, [DIGEST])


def test_a_blob_is_opened_for_reading_only(blobs: Blobs, source: Path) -> None:
    blobs.add(source)
    fd = blobs.open_readonly(DIGEST)
    try:
        assert os.read(fd, 7) == b"weights"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.write(fd, b"x")
    finally:
        os.close(fd)


def test_a_blob_that_is_not_there_is_told(blobs: Blobs) -> None:
    with pytest.raises(StoreError, match=f"has no blob {DIGEST[:12]}; add the model again"):
        blobs.open_readonly(DIGEST)


@pytest.mark.parametrize("digest", ["", "../../etc/passwd", DIGEST.upper(), DIGEST + "0"])
def test_what_is_no_digest_opens_nothing(blobs: Blobs, digest: str) -> None:
    with pytest.raises(StoreError, match="is no SHA-256"):
        blobs.open_readonly(digest)


def test_a_source_that_is_not_there_is_the_models_fault(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is not there"):
        blobs.add(tmp_path / "gone.tflite")


def test_a_file_where_the_folder_should_be_is_told(source: Path) -> None:
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        Blobs(source / "blobs")


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "remount it writable"),
        (errno.EACCES, "chown"),
        (errno.EIO, "the disk fails"),
    ],
)
def test_what_the_disk_refuses_comes_with_a_remedy(tmp_path: Path, number: int, remedy: str) -> None:
    assert remedy in str(store_error(tmp_path, OSError(number, os.strerror(number))))
