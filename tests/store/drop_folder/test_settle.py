from __future__ import annotations

import pytest

from inferd.store.drop_folder.items import FolderEntry, find_items, passing
from inferd.store.drop_folder.settle import FolderChanges, SettleWatch

SECOND = 1_000_000_000


def file(size: int = 100, mtime_ns: int = 1, inode: int = 7) -> FolderEntry:
    return FolderEntry("file", size, mtime_ns, inode)


def names(*paths: str) -> set[str]:
    return set(find_items({path: file() for path in paths}).items)


def settled(changes: FolderChanges) -> list[str]:
    return [item.name for item in changes.settled]


@pytest.mark.parametrize(
    ("paths", "found"),
    [
        (["cat.tflite"], {"cat"}),
        (["cat.tflite", "cat.toml", "cat.txt"], {"cat"}),
        (["dog/model.tflite", "dog/labels.txt"], {"dog"}),
        (["owl/1.2/model.tflite", "owl/v2/model.tflite"], {"owl/1.2", "owl/v2"}),
        (["cat_edgetpu.tflite", "cat.tflite"], {"cat"}),
        (["cat_edgetpu.tflite"], {"cat_edgetpu"}),
        (["notes.txt", "owl/deep/deeper/model.tflite", "dog/other.tflite"], set()),
    ],
)
def test_every_welcome_form_is_found(paths: list[str], found: set[str]) -> None:
    assert names(*paths) == found


def test_a_file_belongs_to_the_model_whose_name_it_begins_with() -> None:
    items = find_items({path: file() for path in ("cat.tflite", "cat_v2.tflite", "cat_v2.toml")}).items
    assert [path for path, _ in items["cat"].files] == ["cat.tflite"]
    assert [path for path, _ in items["cat_v2"].files] == ["cat_v2.tflite", "cat_v2.toml"]


def test_a_model_for_the_edge_tpu_goes_before_its_twin() -> None:
    item = find_items({path: file() for path in ("cat.tflite", "cat_edgetpu.tflite", "cat.txt")}).items["cat"]
    assert (item.path, len(item.files)) == ("cat_edgetpu.tflite", 3)


def test_a_file_of_nobody_may_belong_to_all() -> None:
    items = find_items({path: file() for path in ("cat.tflite", "labels.txt")}).items
    assert [path for path, _ in items["cat"].files] == ["cat.tflite", "labels.txt"]


@pytest.mark.parametrize(
    ("path", "entry", "word"),
    [
        ("cat.tflite", FolderEntry("link", 9, 1, 1), "symbolic link"),
        ("dog", FolderEntry("link", 9, 1, 1), "symbolic link"),
        ("cat.tflite", FolderEntry("other", 0, 1, 1), "no regular file"),
        ("cat.tflite", FolderEntry("file", 1 << 40, 1, 1), "bytes"),
        ("a\nb.tflite", file(), "name"),
        ("a\udcff.tflite", file(), "name"),
    ],
)
def test_what_is_never_opened_is_refused_by_its_name(path: str, entry: FolderEntry, word: str) -> None:
    found = find_items({path: entry})
    assert not found.items
    assert word in found.refused[path]


@pytest.mark.parametrize(
    "name",
    [".cat.tflite.Xa81kQ", "cat.tflite.part", "cat.tflite~", "#cat.toml#", ".cat.toml.swp", "cat.filepart", "~cat.tmp"],
)
def test_names_of_copiers_and_editors_are_passed_by(name: str) -> None:
    assert passing(name)
    assert not names(name) or SettleWatch(0).look({name: file()}, 1).settled == ()


def test_a_file_settles_once_it_has_not_changed_for_a_while() -> None:
    settler = SettleWatch(2)
    looks = [settled(settler.look({"cat.tflite": file()}, second * SECOND)) for second in range(1, 6)]
    assert looks == [[], [], ["cat"], [], []]


def test_a_file_that_grows_does_not_settle() -> None:
    settler = SettleWatch(2)
    for second in range(1, 10):
        assert not settled(settler.look({"cat.tflite": file(size=second)}, second * SECOND))


def test_a_file_that_is_written_in_place_does_not_settle() -> None:
    settler = SettleWatch(2)
    for second in range(1, 10):
        assert not settled(settler.look({"cat.tflite": file(mtime_ns=second)}, second * SECOND))


def test_a_changed_label_file_hands_its_model_out_again() -> None:
    settler = SettleWatch(1)
    for second in (1, 2):
        settler.look({"cat.tflite": file(), "cat.txt": file(5)}, second * SECOND)
    settler.look({"cat.tflite": file(), "cat.txt": file(6)}, 3 * SECOND)
    assert settled(settler.look({"cat.tflite": file(), "cat.txt": file(6)}, 4 * SECOND)) == ["cat"]


def test_a_finished_copy_that_is_renamed_settles_at_once() -> None:
    settler = SettleWatch(2)
    settler.look({".cat.tflite.Xa81kQ": file(100)}, SECOND)
    assert settled(settler.look({"cat.tflite": file(100)}, 2 * SECOND)) == ["cat"]


def test_a_file_that_was_renamed_and_grows_on_waits() -> None:
    settler = SettleWatch(2)
    settler.look({"cat.tflite.part": file(50)}, SECOND)
    assert not settled(settler.look({"cat.tflite": file(100, mtime_ns=2)}, 2 * SECOND))


def test_a_removed_file_is_told_once() -> None:
    settler = SettleWatch(1)
    settler.look({"cat.tflite": file()}, SECOND)
    assert settler.look({}, 2 * SECOND).gone == ("cat",)
    assert settler.look({}, 3 * SECOND).gone == ()


def test_a_refusal_is_told_once() -> None:
    settler, link = SettleWatch(1), FolderEntry("link", 9, 1, 1)
    assert settler.look({"cat.tflite": link}, SECOND).refused
    assert not settler.look({"cat.tflite": link}, 2 * SECOND).refused


def test_an_item_can_be_handed_out_again() -> None:
    settler = SettleWatch(1)
    for second in (1, 2):
        settler.look({"cat.tflite": file()}, second * SECOND)
    settler.again("cat", 3 * SECOND)
    assert not settled(settler.look({"cat.tflite": file()}, 3 * SECOND))
    assert settled(settler.look({"cat.tflite": file()}, 4 * SECOND)) == ["cat"]
