from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from fixtures.disks.folder_power_cut import RecordingDisk, after_a_power_cut, names_in
from inferd.errors import StoreError
from inferd.store.lifecycle.state import LifecycleState, Version
from inferd.store.storage.blobs import Blobs
from inferd.store.storage.state_file import BEFORE, NAME, LoadedState, StateFile

WEIGHTS = b"weights of a model that is new"
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()


def state(arrivals: int) -> LifecycleState:
    return LifecycleState(arrivals=arrivals)


def test_a_state_that_was_saved_is_read_again(tmp_path: Path) -> None:
    StateFile(tmp_path).save(state(3))
    assert StateFile(tmp_path).load() == LoadedState(state(3))


def test_without_a_file_there_is_an_empty_state(tmp_path: Path) -> None:
    assert StateFile(tmp_path).load() == LoadedState(LifecycleState())


def test_a_damaged_file_is_healed_from_the_one_before(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.save(state(1))
    file.save(state(2))
    (tmp_path / NAME).write_bytes((tmp_path / NAME).read_bytes().replace(b"2", b"7"))
    loaded = file.load()
    assert loaded.state == state(1)
    assert NAME in loaded.healed


def test_two_damaged_files_start_anew_and_say_so(tmp_path: Path) -> None:
    for name in (NAME, BEFORE):
        (tmp_path / name).write_bytes(b"\0" * 100)
    loaded = StateFile(tmp_path).load()
    assert loaded.state == LifecycleState()
    assert "is lost" in loaded.healed


@pytest.mark.parametrize("field", ["unknown", "slots"])
def test_a_file_that_is_nested_without_end_is_damaged_though_its_checksum_fits(tmp_path: Path, field: str) -> None:
    content = f'{{"{field}": {"[" * 3000}'.encode()
    digest = hashlib.sha256(content).hexdigest()
    (tmp_path / NAME).write_bytes(f"inferd models 1 {digest}\n".encode() + content)
    loaded = StateFile(tmp_path).load()
    assert (loaded.state, "is damaged" in loaded.healed) == (LifecycleState(), True)


def test_a_file_of_a_newer_inferd_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"inferd models 99 " + b"0" * 64 + b"\n{}")
    with pytest.raises(StoreError, match="newer inferd"):
        StateFile(tmp_path).load()


def test_every_byte_that_is_flipped_is_noticed(tmp_path: Path) -> None:
    file = StateFile(tmp_path)
    file.save(state(1))
    whole = (tmp_path / NAME).read_bytes()
    for index in range(len(whole)):
        (tmp_path / NAME).write_bytes(whole[:index] + bytes([whole[index] ^ 0x10]) + whole[index + 1 :])
        assert file.load().state == LifecycleState()


def crash_states(folder: Path, forgets: int = -1) -> tuple[int, int]:
    """Store a blob and a state that names it, cut the power everywhere; return how many states there are, how many bad."""
    source = folder / "new.tflite"
    source.write_bytes(WEIGHTS)
    store, blobs = folder / "state", folder / "state" / "blobs"
    StateFile(store).save(state(1))
    Blobs(blobs)
    disk, before = RecordingDisk(forgets), names_in(store, blobs)
    Blobs(blobs, disk).add(source)
    StateFile(store, disk).save(LifecycleState(arrivals=2, versions={DIGEST: Version(DIGEST, "new")}))
    total = bad = 0
    for cut in range(len(disk.calls) + 1):
        for left in after_a_power_cut(before, disk.calls[:cut]):
            total += 1
            bad += not is_valid(left, store, blobs, acknowledged=cut == len(disk.calls), scratch=folder / "after")
    return total, bad


def is_valid(left: dict[Path, bytes], store: Path, blobs: Path, *, acknowledged: bool, scratch: Path) -> bool:
    """Whether this is the state before or after, nothing was lost, and the blob it names is whole."""
    scratch.mkdir(exist_ok=True)
    for name in (NAME, BEFORE):
        (scratch / name).unlink(missing_ok=True)
        if store / name in left:
            (scratch / name).write_bytes(left[store / name])
    found = StateFile(scratch).load().state
    if found.arrivals not in (1, 2) or (acknowledged and found.arrivals != 2):
        return False
    return DIGEST not in found.versions or left.get(blobs / DIGEST) == WEIGHTS


def test_no_power_cut_leaves_an_invalid_store(tmp_path: Path) -> None:
    total, bad = crash_states(tmp_path)
    assert total >= 10
    assert bad == 0


def count_syncs(folder: Path) -> int:
    disk = RecordingDisk()
    source = folder / "new.tflite"
    source.write_bytes(WEIGHTS)
    Blobs(folder / "blobs")
    Blobs(folder / "blobs", disk).add(source)
    StateFile(folder / "state")
    StateFile(folder / "state", disk).save(state(1))
    return disk.syncs


@pytest.mark.parametrize("forgotten", range(4))
def test_each_single_sync_is_needed(tmp_path: Path, forgotten: int) -> None:
    _, bad = crash_states(tmp_path, forgets=forgotten)
    assert bad > 0


def test_no_sync_is_left_out_of_that_count(tmp_path: Path) -> None:
    assert count_syncs(tmp_path) == 4
