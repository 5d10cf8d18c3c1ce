from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from inferd.store.drop_folder.scan import ENTRIES_MAX, TooManyEntries, look


def make(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(b"model")


def test_models_are_seen_two_folders_deep(tmp_path: Path) -> None:
    make(tmp_path, "cat.tflite", "dog/model.tflite", "owl/1.2/model.tflite", "a/b/c/deep.tflite")
    files = {path for path, entry in look(tmp_path).items() if entry.kind == "file"}
    assert files == {"cat.tflite", "dog/model.tflite", "owl/1.2/model.tflite"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere/model.tflite")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "dog").symlink_to(tmp_path / "elsewhere")
    assert {path: entry.kind for path, entry in look(tmp_path / "folder").items()} == {"dog": "link"}


def test_pipes_are_seen_and_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "cat.tflite")
    assert look(tmp_path)["cat.tflite"].kind == "other"


def test_hidden_folders_are_not_entered(tmp_path: Path) -> None:
    make(tmp_path, ".git/model.tflite")
    assert set(look(tmp_path)) == {".git"}


def test_a_folder_with_too_many_files_hides_no_other(tmp_path: Path) -> None:
    make(tmp_path, "cat.tflite", *(f"dog/{number}.txt" for number in range(ENTRIES_MAX + 1)))
    assert {path: entry.kind for path, entry in look(tmp_path).items()} == {"cat.tflite": "file", "dog": "crowded"}


def test_a_drop_folder_with_too_many_files_is_refused(tmp_path: Path) -> None:
    make(tmp_path, *(f"{number}.txt" for number in range(ENTRIES_MAX + 1)))
    with pytest.raises(TooManyEntries):
        look(tmp_path)


def test_a_folder_that_may_not_be_entered_is_listed_as_closed(tmp_path: Path) -> None:
    make(tmp_path, "dog/model.tflite", "cat.tflite")
    (tmp_path / "dog").chmod(0)
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == os.getuid() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    kinds = in_child_of(NOBODY, tmp_path)
    (tmp_path / "dog").chmod(0o755)
    assert kinds == {"cat.tflite": "file", "dog": "closed"}


NOBODY = 65534


def in_child_of(user: int, folder: Path) -> dict[str, str]:
    """Return the kinds of a listing, as a process without the rights of root sees them."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        if os.getuid() == 0:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
        os.write(write, json.dumps({path: entry.kind for path, entry in look(folder).items()}).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as told:
        kinds: dict[str, str] = json.load(told)
    os.waitpid(pid, 0)
    return kinds


def test_a_folder_that_is_removed_and_comes_back_is_seen_again(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    make(folder, "cat.tflite")
    shutil.rmtree(folder)
    with pytest.raises(FileNotFoundError):
        look(folder)
    make(folder, "cat.tflite")
    assert "cat.tflite" in look(folder)
