from __future__ import annotations

from typing import Literal

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


def test_a_model_for_the_edge_tpu_goes_before_its_cpu_version() -> None:
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


OVERLOOKED = {
    "owl/nightly/model.tflite": ("owl/nightly", "no version of a model by its name"),
    "owl/latest/model.onnx": ("owl/latest", "no version of a model by its name"),
    "dog/dog.tflite": ("dog/dog.tflite", "a model is called model.tflite"),
    "owl/1.2/owl.tflite": ("owl/1.2/owl.tflite", "a model is called model.tflite"),
}


@pytest.mark.parametrize("path", OVERLOOKED)
def test_a_model_in_a_folder_of_another_name_is_refused_in_a_sentence(path: str) -> None:
    refused, word = OVERLOOKED[path]
    found = find_items({path: file()})
    assert not found.items
    assert word in found.refused[refused]


@pytest.mark.parametrize("version", ["1.2", "v3", "2.0.1-rc1", "2026-12-01", "1.0.0-beta.2", "2026.12"])
def test_versions_as_people_write_them_are_versions(version: str) -> None:
    assert set(find_items({f"owl/{version}/model.tflite": file()}).items) == {f"owl/{version}"}


def test_other_models_beside_the_one_of_a_folder_are_no_fault() -> None:
    assert not find_items({"dog/model.tflite": file(), "dog/small.tflite": file()}).refused


@pytest.mark.parametrize("kind", ["closed", "crowded"])
def test_a_folder_that_is_not_looked_into_is_refused(kind: Literal["closed", "crowded"]) -> None:
    assert "is a folder" in find_items({"dog": FolderEntry(kind, 0, 1, 1)}).refused["dog"]


def test_a_link_to_a_folder_is_refused_whatever_its_name() -> None:
    assert "symbolic link" in find_items({"v1.2": FolderEntry("link", 0, 1, 1)}).refused["v1.2"]


def test_of_a_folder_whose_name_is_no_text_only_the_folder_is_told() -> None:
    listing = {"f\udcfcr": FolderEntry("folder", 0, 1, 1), "f\udcfcr/model.tflite": file()}
    found = find_items(listing)
    assert (set(found.refused), found.items) == ({"f\udcfcr"}, {})


def test_a_file_that_ends_too_early_is_given_time_to_grow() -> None:
    settler = SettleWatch(SECOND / 1e9)
    whole, now_ns = {"cat.tflite": file()}, 10 * SECOND
    settler.look(whole, now_ns)
    assert settler.look(whole, now_ns + SECOND).settled
    assert settler.again_when_still("cat", now_ns + SECOND, 30 * SECOND)
    assert not settler.look(whole, now_ns + 29 * SECOND).settled
    assert settler.look(whole, now_ns + 30 * SECOND).settled
    assert not settler.again_when_still("cat", now_ns + 30 * SECOND, 30 * SECOND)
