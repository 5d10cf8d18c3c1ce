"""Opens a model file, and refuses files of another format before native code reads them.

tflite-runtime 2.14 crashes if the root offset is beyond the end of the file.
"""

from __future__ import annotations

import os
from io import FileIO

from inferd.errors import EngineError

IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every TensorFlow Lite file
HEADER_BYTES = 8


def open_model(name: str, path: str) -> FileIO:
    """Open a TensorFlow Lite model for reading.

    Raises:
        EngineError: it cannot be opened, is empty, is something else, or ends before its root table.
    """
    file = open_file(name, path)
    try:
        _check_header(name, file)
    except EngineError:
        file.close()
        raise
    return file


def open_file(name: str, path: str) -> FileIO:
    """Open a model of any kind for reading.

    Raises:
        EngineError: it cannot be opened, or is empty.
    """
    try:
        file = FileIO(path)
    except OSError as exc:
        fact = f"cannot be opened ({exc.strerror})"
        raise EngineError(name, f"{fact}; check that {path} is a file and readable") from exc
    if not os.fstat(file.fileno()).st_size:
        file.close()
        raise EngineError(name, "is empty; copy or download it again")
    return file


def _check_header(name: str, file: FileIO) -> None:
    header = os.pread(file.fileno(), HEADER_BYTES, 0)
    size_bytes = os.fstat(file.fileno()).st_size
    if header[4:] != IDENTIFIER:
        raise EngineError(name, _not_a_model(header))
    if int.from_bytes(header[:4], "little") >= size_bytes:
        raise EngineError(name, "is damaged or cut short (its root lies beyond its end); copy or download it again")


def _not_a_model(header: bytes) -> str:
    if header.startswith(b"version "):
        return "is a Git LFS pointer and not the model itself; run `git lfs pull` where it came from"
    start = header.decode("latin-1")
    fact = f"begins with {start!r}" if start.isprintable() else f"is marked {start[4:]!r} and not 'TFL3'"
    return f"is not a TensorFlow Lite model (it {fact}); download it again"
