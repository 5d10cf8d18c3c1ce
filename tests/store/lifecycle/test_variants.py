from __future__ import annotations

from pathlib import Path

import pytest

from inferd.store.description.bundle import find_bundle
from inferd.store.drop_folder.items import FolderEntry, find_items
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.slots import ModelSelection
from inferd.store.lifecycle.state import LifecycleState, Measurements, Quarantined, Version, VetVerdict
from inferd.store.lifecycle.variants import better

ANY = ModelSelection(None)
SMALL, LARGE = Measurements(3.0, 5.0, 0.91), Measurements(20.0, 40.0, 0.98)


def known(**figures: Measurements) -> LifecycleState:
    """Return a state in which these variants of "cat" were accepted, in this order."""
    state = LifecycleState()
    for variant, measured in figures.items():
        version = Version(variant * 12, "cat", "2.0", "classify", variant=variant)
        state = slots.arrive(state, version, f"cat+{variant}", 0.0)
        state = slots.judge(state, "key", version.digest, VetVerdict("here", True, figures=measured))
    return state


def chosen(state: LifecycleState, wish: ModelSelection = ANY) -> str:
    digest = slots.choose(state, "key", wish, "here")
    return state.versions[digest].variant if digest else ""


def served(state: LifecycleState, variant: str) -> LifecycleState:
    state = slots.begin(state, "key", variant * 12, "boot", 0.0)
    return slots.commit(state, "key", 0.0)


def test_the_variant_that_is_right_more_often_is_chosen_whichever_came_first() -> None:
    assert chosen(known(small=SMALL, large=LARGE)) == "large"
    assert chosen(known(large=LARGE, small=SMALL)) == "large"


def test_one_that_does_not_keep_up_is_not_chosen() -> None:
    assert chosen(known(small=SMALL, large=LARGE), ModelSelection(None, period_ms=10.0)) == "small"


def test_where_none_keeps_up_the_fastest_is_chosen() -> None:
    assert chosen(known(small=SMALL, large=LARGE), ModelSelection(None, period_ms=1.0)) == "small"


def test_of_equals_the_fastest_is_chosen() -> None:
    assert better(Measurements(3.0), Measurements(4.0), 0.0)
    assert not better(Measurements(3.0), Measurements(3.0), 0.0)


def test_the_one_that_serves_stays_until_a_better_one_comes() -> None:
    state = served(known(small=SMALL), "small")
    assert chosen(state) == ""
    both = known(small=SMALL, large=LARGE)
    assert chosen(served(both, "small")) == "large"
    assert chosen(served(both, "large")) == ""


def test_the_choice_tells_what_was_measured_of_each() -> None:
    state = slots.begin(known(small=SMALL, large=LARGE), "key", "large" * 12, "boot", 0.0)
    assert state.log[-1].why == (
        "of its variants large (right in 98.0%, 20.0 ms, 40 MB) suits this device best; small (right in 91.0%, 3.0 ms, 5 MB)"
    )


def test_where_the_best_fails_the_next_is_tried() -> None:
    state = slots.quarantine(known(small=SMALL, large=LARGE), "large" * 12, Quarantined("crash", "it crashed"))
    assert chosen(state) == "small"


def test_a_newer_version_goes_before_any_variant_of_the_old_one() -> None:
    state = served(known(small=SMALL, large=LARGE), "large")
    newer = Version("n" * 64, "cat", "2.1", "classify", variant="small")
    state = slots.judge(slots.arrive(state, newer, "new", 0.0), "key", newer.digest, VetVerdict("here", True))
    assert slots.choose(state, "key", ANY, "here") == newer.digest


@pytest.mark.parametrize(
    ("path", "title", "variant"),
    [
        ("cat+small.tflite", "cat", "small"),
        ("cat+int8/model.tflite", "cat", "int8"),
        ("cat+tpu_edgetpu.tflite", "cat", "tpu"),
        ("cat+int8/1.2/model.tflite", "cat", "int8"),
        ("+.tflite", "+", ""),
        ("cat.tflite", "cat", ""),
    ],
)
def test_the_name_of_a_file_or_folder_tells_the_variant(tmp_path: Path, path: str, title: str, variant: str) -> None:
    (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / path).touch()
    bundle = find_bundle(tmp_path / path)
    assert (bundle.title.removesuffix("_edgetpu"), bundle.variant) == (title, variant)


def test_variants_share_manifest_and_labels_where_they_have_none_of_their_own(tmp_path: Path) -> None:
    for name in ("cat+a.tflite", "cat+b.tflite", "cat.toml", "cat+b.toml", "cat.txt"):
        (tmp_path / name).touch()
    first, second = (find_bundle(tmp_path / f"cat+{which}.tflite") for which in "ab")
    assert first.manifest == tmp_path / "cat.toml"
    assert second.manifest == tmp_path / "cat+b.toml"
    assert first.labels == second.labels == (tmp_path / "cat.txt",)


def test_a_pipeline_follows_all_variants_by_the_models_name() -> None:
    file = FolderEntry("file", 1, 1, 1)
    listing = {
        "cat+a.tflite": file,
        "cat+b": FolderEntry("folder", 0, 1, 2),
        "cat+b/model.tflite": file,
        "cat.toml": file,
    }
    found = find_items(listing).items
    assert {item.followed for item in found.values()} == {"cat"}
    assert "cat.toml" in dict(found["cat+a"].files)
