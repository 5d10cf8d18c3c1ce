"""Tensors as they go to the model, from a numpy .npz file."""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import IO

import numpy as np

from inferd.config import settings
from inferd.errors import EndOfInput, SourceError
from inferd.foreign_text import printable
from inferd.records import Array, Frame
from inferd.system.clock import Clock
from inferd.system.memory import limit_bytes

LARGEST_BYTES = 1 << 30  # of all arrays, unpacked; and no more than a quarter of the board's memory
ANSWER_PREFIX = "output:"  # golden files keep expected outputs and true classes beside the inputs
ANSWER_KEYS = frozenset({"label"})


class Npz:
    """Reads one sample after the other: input name → array (1, ...) in the file's dtype."""

    live = False

    def __init__(self, options: settings.NpzSource, clock: Clock) -> None:
        """Read the file whole, after its headers have said how much that is.

        Args:
            options: the path.
            clock: stamps the frames.

        Raises:
            SourceError: it is not there, no .npz, too large, holds objects, or its arrays differ in their first axis.
        """
        self._path = options.path
        self._clock = clock
        self._arrays = _load(Path(options.path))
        self._count = _count(options.path, self._arrays)
        self._seq = 0

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - all samples are in memory
        """Return the next sample.

        Raises:
            EndOfInput: all were read.
        """
        seq = self._seq
        if seq >= self._count:
            raise EndOfInput(self._path, f"all {self._count} samples were read")
        self._seq += 1
        taken_ns = self._clock.monotonic_ns()
        sample = {name: array[seq : seq + 1] for name, array in self._arrays.items()}
        return Frame(
            data=sample,
            seq=seq,
            taken_ns=taken_ns,
            taken_at=self._clock.wall_s(),
            capture_ns=self._clock.monotonic_ns() - taken_ns,
            origin=f"{printable(self._path)}#{seq}",
            position_s=None,
        )

    def close(self) -> None:
        """Do nothing: the file was read whole."""


def _load(file: Path) -> dict[str, Array]:
    """Return the input arrays of an .npz.

    Raises:
        SourceError: see `Npz`.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            _check(file, archive)
        with np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files if _is_input(name)}
    except FileNotFoundError:
        raise SourceError(str(file), "no such .npz file; check the path") from None
    except zipfile.BadZipFile:
        raise SourceError(str(file), "is damaged or no .npz; write it with numpy.savez") from None
    except SourceError:
        raise
    except Exception as exc:  # zipfile, zlib and numpy raise a dozen kinds for damaged bytes
        raise SourceError(str(file), f"cannot be read ({exc}); write it with numpy.savez") from exc


def _is_input(name: str) -> bool:
    return name not in ANSWER_KEYS and not name.startswith(ANSWER_PREFIX)


def _check(file: Path, archive: zipfile.ZipFile) -> None:
    """Refuse by the headers alone what would take too much memory: numpy allocates what a header says.

    Raises:
        SourceError: the arrays are too large, or a member is no array.
    """
    total = 0
    for member in archive.infolist():
        with archive.open(member) as opened:
            size = _announced_bytes(opened)
        if size > member.file_size:
            raise SourceError(str(file), f"{member.filename} is shorter than its header says; write it again")
        total += size
    largest = min(LARGEST_BYTES, (limit_bytes() or 4 * LARGEST_BYTES) // 4)
    if total > largest:
        limit = largest >> 20
        raise SourceError(
            str(file), f"unpacks to {total >> 20} MiB, more than {limit} MiB; split it into smaller files"
        )


def _announced_bytes(opened: IO[bytes]) -> int:
    """Return the size of an array as its .npy header says.

    Raises:
        ValueError: it is no .npy, or holds Python objects.
    """
    version = np.lib.format.read_magic(opened)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(opened)
    if dtype.hasobject:
        raise ValueError("it holds Python objects")
    return math.prod(shape) * dtype.itemsize


def _count(path: str, arrays: dict[str, Array]) -> int:
    """Return how many samples there are.

    Raises:
        SourceError: there are none, or the arrays disagree.
    """
    if not arrays:
        raise SourceError(path, "holds no input; its keys must be names of the model's inputs")
    for name, array in arrays.items():
        if not array.ndim:
            raise SourceError(path, f"{name!r} is a single value; its first axis must count samples")
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name!r} has {count}" for name, count in counts.items())
        raise SourceError(
            path, f"its arrays disagree in the number of samples: {listed}; their first axes must be equal"
        )
    return next(iter(counts.values()))
