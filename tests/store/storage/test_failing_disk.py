"""A disk that is full, fails or is read-only at any write of an update: what is remembered is valid, and so is what it names."""

from __future__ import annotations

import contextlib
import errno
from pathlib import Path

import pytest

from fixtures.disks.failing_disk import RefusingDisk, refusals
from inferd.config import settings
from inferd.control.models.persistent_model_state import PersistentModelState
from inferd.errors import StoreError
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.state import LifecycleState, Version, VetVerdict
from inferd.store.storage.bundle_store import BundleStore
from inferd.store.storage.state_file import StateFile
from inferd.system.clock import CountingClock
from inferd.system.files.atomic import Disk

OLD, NEW = "a" * 64, "b" * 64
WEIGHTS = {OLD: b"old weights" * 100, NEW: b"new weights" * 100}
LABELS = b"cat\ndog\n"
KEY, RUN = "newest", "this runtime"
NUMBERS = pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EIO, errno.EROFS], ids=["full", "failing", "read-only"]
)


def dropped(folder: Path, digest: str) -> Path:
    """Lay a model with its labels into a folder."""
    folder.mkdir(exist_ok=True)
    (folder / "cat.tflite").write_bytes(WEIGHTS[digest])
    (folder / "cat.txt").write_bytes(LABELS)
    return folder / "cat.tflite"


def update(folder: Path, digest: str, disk: Disk, boot: str = "boot") -> None:
    """Do all that the disk hears of an update: the bundle by the vet child, then arrival, verdict, switch and commit.

    Raises:
        StoreError: the disk refuses.
    """
    shelf = BundleStore(folder / "state", disk)
    with shelf.copy(dropped(folder / "drop", digest)) as copied:
        shelf.put(copied, digest)
    life = PersistentModelState(folder / "state", settings.ModelsConfig(), CountingClock(), boot, disk)
    version = Version(digest, "cat", "", "classify", root=copied.root, size_bytes=copied.size_bytes)
    life.apply(slots.arrive, version, "cat", 0.0)
    life.apply(slots.judge, KEY, digest, VetVerdict(RUN, accepted=True))
    if digest not in life.state.of(KEY).held:
        life.apply_durably(slots.begin, KEY, digest, boot, 0.0)
        life.apply(slots.commit, KEY, 0.0)


def calls_of_an_update(folder: Path, digest: str) -> int:
    folder.mkdir()
    update(folder, OLD, Disk())
    counting = RefusingDisk(-1, 0, for_ever=False)
    update(folder, digest, counting)
    return counting.calls


def why_invalid(folder: Path) -> str:
    """Return what is wrong with what is left, "" for nothing: all that is remembered is there, whole, and one serves."""
    loaded = StateFile(folder / "state").load()
    state, shelf = loaded.state, BundleStore(folder / "state")
    if loaded.healed:
        return loaded.healed
    if state.of(KEY).serving not in (OLD, NEW):
        return "nothing serves"
    for digest, version in state.versions.items():
        model = shelf.path(digest, version.root)
        if (
            not model.is_file()
            or model.read_bytes() != WEIGHTS[digest]
            or model.with_suffix(".txt").read_bytes() != LABELS
        ):
            return f"{digest[:4]} is not whole"
    return ""


@pytest.mark.slow
@NUMBERS
@pytest.mark.parametrize("digest", [NEW, OLD], ids=["another model", "the model that serves"])
def test_no_refused_write_leaves_anything_invalid(tmp_path: Path, number: int, digest: str) -> None:
    calls = calls_of_an_update(tmp_path / "counted", digest)
    assert calls >= 15
    for turn, disk in enumerate(refusals(number, calls)):
        folder = tmp_path / str(turn)
        folder.mkdir()
        update(folder, OLD, Disk())
        try:
            update(folder, digest, disk)
        except StoreError as refused:
            assert refused.message  # noqa: PT017 - not every refused write ends an update
        assert why_invalid(folder) == "", f"call {disk.at} of {calls}, for ever: {disk.for_ever}"


@pytest.mark.slow
@NUMBERS
def test_the_same_update_succeeds_once_the_disk_is_mended(tmp_path: Path, number: int) -> None:
    calls = calls_of_an_update(tmp_path / "counted", NEW)
    for turn, disk in enumerate(refusals(number, calls)):
        folder = tmp_path / str(turn)
        folder.mkdir()
        update(folder, OLD, Disk())
        with contextlib.suppress(StoreError):
            update(folder, NEW, disk)
        life = PersistentModelState(folder / "state", settings.ModelsConfig(), CountingClock(), "boot")
        life.prune()
        update(folder, NEW, Disk())
        state = StateFile(folder / "state").load().state
        assert NEW in (state.of(KEY).serving, *state.of(KEY).held)
        assert why_invalid(folder) == ""
        assert not list((folder / "state").rglob(".unfinished-*"))


def test_what_could_not_be_remembered_is_remembered_once_the_disk_is_mended(tmp_path: Path) -> None:
    clock, disk = CountingClock(), RefusingDisk(10**9, errno.ENOSPC, for_ever=True)
    life = PersistentModelState(tmp_path, settings.ModelsConfig(), clock, "boot", disk)
    disk.at = disk.calls
    life.apply(slots.arrive, Version(NEW, "cat"), "cat", 0.0)
    assert NEW in life.state.versions
    assert StateFile(tmp_path).load().state == LifecycleState()
    disk.at = 10**9
    clock.advance(60.0)
    life.retry_save()
    assert StateFile(tmp_path).load().state == life.state


def test_a_switch_that_cannot_be_written_down_is_not_made(tmp_path: Path) -> None:
    disk = RefusingDisk(10**9, errno.ENOSPC, for_ever=True)
    life = PersistentModelState(tmp_path, settings.ModelsConfig(), CountingClock(), "boot", disk)
    life.apply(slots.arrive, Version(NEW, "cat"), "cat", 0.0)
    disk.at = disk.calls
    with pytest.raises(StoreError, match="disk is full"):
        life.apply_durably(slots.begin, KEY, NEW, "boot", 0.0)
    assert life.state.of(KEY).trial is None
