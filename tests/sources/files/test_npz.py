from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from inferd.config.settings import NpzSource
from inferd.errors import SourceError
from inferd.records import Array
from inferd.sources.files.npz import Npz
from inferd.system.clock import CountingClock


def npz(file: Path) -> Npz:
    return Npz(NpzSource(path=str(file)), CountingClock())


def save(folder: Path, **arrays: Array) -> Path:
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]  # numpy's own flag shares the keywords
    return folder / "a.npz"


def header_only(folder: Path, shape: tuple[int, ...], announced_bytes: int = 0) -> Path:
    """Write a member whose header announces an array of float64, and holds none of it; the zip may lie about that."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(folder / "a.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue())
        archive.filelist[0].file_size = announced_bytes or len(header.getvalue())
    return folder / "a.npz"


def test_samples_come_one_by_one_bit_for_bit(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, 2)).astype(np.float32)
    source = npz(save(tmp_path, x=values))
    for index in range(3):
        data = source.read(1.0).data
        assert isinstance(data, dict)
        assert data["x"].tobytes() == values[index : index + 1].tobytes()


def test_expected_outputs_and_labels_of_a_golden_file_are_no_inputs(tmp_path: Path) -> None:
    arrays = {"x": np.zeros((2, 3)), "output:y": np.zeros((2, 1)), "label": np.zeros(2)}
    assert set(npz(save(tmp_path, **arrays)).read(1.0).data) == {"x"}


def test_inputs_must_have_the_same_number_of_samples(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="'x' has 2, 'y' has 3"):
        npz(save(tmp_path, x=np.zeros((2, 1)), y=np.zeros((3, 1))))


def test_pickled_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="objects"):
        npz(save(tmp_path, x=np.array([{"a": 1}], dtype=object)))


def test_a_member_that_announces_more_than_it_holds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="shorter than its header says"):
        npz(header_only(tmp_path, (1 << 40,)))


def test_a_zip_bomb_is_refused_by_its_headers(tmp_path: Path) -> None:
    file = header_only(tmp_path, (1 << 28,), announced_bytes=(1 << 31) + 128)
    with pytest.raises(SourceError, match="unpacks to 2048 MiB, more than 1024 MiB"):
        npz(file)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04" + bytes(100)])
def test_what_is_no_npz_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.npz: is damaged or no \.npz"):
        npz(tmp_path / "a.npz")


def test_a_truncated_npz_is_named(tmp_path: Path) -> None:
    file = save(tmp_path, x=np.zeros((100, 100)))
    file.write_bytes(file.read_bytes()[:-50])
    with pytest.raises(SourceError, match=r"a\.npz"):
        npz(file)


def test_a_member_that_is_no_array_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", b"hello")
    with pytest.raises(SourceError, match="cannot be read"):
        npz(tmp_path / "a.npz")


def test_a_single_value_counts_no_samples(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="'x' is a single value"):
        npz(save(tmp_path, x=np.array(1.0)))


def test_a_file_without_inputs_is_named(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no input"):
        npz(save(tmp_path, label=np.zeros(2)))
