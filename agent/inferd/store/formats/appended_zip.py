"""The zip that TFLite metadata tools append to a model, for its label files. All of it is hostile until checked.

The directory at its end is measured before zipfile sees it: zipfile would read a directory of any length into memory.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from dataclasses import dataclass

from inferd.errors import ModelError
from inferd.store.formats.bounded_file import ModelFile

END_MARK, END_BYTES = b"PK\x05\x06", 22
ZIP64_MARK, ZIP64_BYTES = b"PK\x06\x07", 20
COMMENT_MAX_BYTES = (1 << 16) - 1
DIRECTORY_MAX_BYTES = 1 << 16
ENTRIES_MAX = 16  # published models carry one to three
UNPACKED_MAX_BYTES = 1 << 20
RATIO_MAX = 200  # 100,000 lines of "class 12345" pack 5:1; deflate itself ends at 1,032:1
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    OSError,
    ValueError,
    RuntimeError,
    NotImplementedError,
)


@dataclass(frozen=True, slots=True)
class Archive:
    """An appended zip: where it begins, and its entries by name."""

    begins: int
    entries: dict[str, zipfile.ZipInfo]


def find_archive(file: ModelFile) -> Archive | None:
    """Return the zip at the end of a model, None where there is none.

    Raises:
        ModelError: there is one, and it is damaged, too large or made to escape.
    """
    directory = _find_directory(file)
    if directory is None:
        return None
    infos = _list(file)
    entries = {info.filename: info for info in infos}
    if len(entries) != len(infos):
        raise _refused(file, "names a file twice")
    for name in entries:
        require_plain_name(file.name, name)
    return Archive(min((info.header_offset for info in infos), default=directory), entries)


def unpack(file: ModelFile, info: zipfile.ZipInfo) -> bytes:
    """Return the content of one entry.

    Raises:
        ModelError: it is encrypted, too large, packed beyond reason, or damaged.
    """
    _require_modest(file, info)
    try:
        with file.stream() as stream, zipfile.ZipFile(stream) as archive, archive.open(info) as entry:
            content = entry.read(UNPACKED_MAX_BYTES + 1)
    except BROKEN as exc:
        raise _refused(file, f"cannot give {info.filename}: {exc}") from exc
    if len(content) > UNPACKED_MAX_BYTES:
        raise _refused(file, f"unpacks {info.filename} to more than {UNPACKED_MAX_BYTES:,} bytes")
    return content


def require_plain_name(part: str, name: str) -> None:
    """Make sure that a name is only a name, not a way to another folder.

    Raises:
        ModelError: it is empty or has a slash, a "..", or what cannot be printed.
    """
    if not name or "/" in name or "\\" in name or ".." in name or not name.isprintable() or len(name) > 255:  # noqa: PLR2004  # NAME_MAX
        raise ModelError(
            part, f"carries a file named {name[:80]!r}, which would leave its folder; do not use this model"
        )


def _find_directory(file: ModelFile) -> int | None:
    """Return where the directory of a zip that ends this file begins; the last record decides, as for zipfile."""
    length = min(file.size, END_BYTES + COMMENT_MAX_BYTES)
    tail = file.read(file.size - length, length) if length else b""
    at = tail.rfind(END_MARK)
    if at < 0 or at + END_BYTES > length:
        return None
    _, disk, _, _, entries, size, offset, comment = struct.unpack("<4s4H2LH", tail[at : at + END_BYTES])
    directory: int = file.size - length + at - size
    if at + END_BYTES + comment != length or disk or directory < offset:
        return None  # four bytes of weights that happen to spell the mark
    if tail[max(0, at - ZIP64_BYTES) :].startswith(ZIP64_MARK) or entries > ENTRIES_MAX or size > DIRECTORY_MAX_BYTES:
        raise _refused(file, f"lists {entries} files in {size:,} bytes; at most {ENTRIES_MAX} are looked at")
    return directory


def _list(file: ModelFile) -> list[zipfile.ZipInfo]:
    try:
        with file.stream() as stream, zipfile.ZipFile(stream) as archive:
            infos = archive.infolist()
    except BROKEN as exc:
        raise _refused(file, f"is damaged: {exc}") from exc
    if len(infos) > ENTRIES_MAX:  # the end record may have lied
        raise _refused(file, f"lists {len(infos)} files; at most {ENTRIES_MAX} are looked at")
    if any(not 0 <= info.header_offset < file.size for info in infos):
        raise _refused(file, "points outside the file")
    return infos


def _require_modest(file: ModelFile, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 0x1:
        raise _refused(file, f"has {info.filename} encrypted")
    if info.compress_type not in METHODS:
        raise _refused(file, f"has {info.filename} packed by method {info.compress_type}, not stored or deflated")
    if info.file_size > UNPACKED_MAX_BYTES or info.file_size > RATIO_MAX * max(info.compress_size, 1):
        raise _refused(
            file,
            f"would unpack {info.filename} from {info.compress_size:,} to {info.file_size:,} bytes: no label file",
        )


def _refused(file: ModelFile, fact: str) -> ModelError:
    return ModelError(file.name, f"the zip at its end {fact}; get the model from its maker again")
