"""Still pictures from a file, a folder or a pattern."""

from __future__ import annotations

import glob
from pathlib import Path

import cv2
import numpy as np

from inferd.config import settings
from inferd.errors import EndOfInput, FrameError, SourceError
from inferd.foreign_text import printable
from inferd.records import Array, Frame
from inferd.sources.decoding.image_header import SUFFIXES, ImageHeader, read_header
from inferd.sources.decoding.picture_limit import check_pixels, most_pixels
from inferd.system.clock import Clock

FULL_BITS = 14  # a 16-bit picture in which no value reaches this many is of a camera with fewer
LARGEST_FILE_BYTES = 512 * 1024 * 1024


class Images:
    """Reads pictures (h, w, 3) uint8 BGR in the order of their names, turned upright as their EXIF says.

    A picture that cannot be read costs a FrameError that names it; the next read gives the next picture.
    """

    live = False

    def __init__(self, options: settings.ImagesSource, clock: Clock) -> None:
        """List the files; none is opened yet.

        Args:
            options: the path, and how many pictures a second "recorded" means.
            clock: stamps the frames.

        Raises:
            SourceError: there is no such file, or no picture in the folder or under the pattern.
        """
        if not options.fps > 0:
            raise SourceError(options.path, f"fps must be above 0, not {options.fps}")
        self._files = _find_files(options.path)
        self._path = options.path
        self._fps = options.fps
        self._clock = clock
        self._next = 0
        self._seq = 0

    def read(self, timeout_s: float) -> Frame:  # noqa: ARG002 - a file is there or not, nothing is waited for
        """Return the next picture.

        Raises:
            FrameError: it is damaged, too large or no picture; the next one may be read.
            EndOfInput: all were read.
        """
        index = self._next
        if index >= len(self._files):
            raise EndOfInput(self._path, f"all {len(self._files)} pictures were read")
        self._next += 1
        taken_ns, taken_at = self._clock.monotonic_ns(), self._clock.wall_s()
        picture = decode(self._files[index])
        seq = self._seq
        self._seq += 1
        return Frame(
            data=picture,
            seq=seq,
            taken_ns=taken_ns,
            taken_at=taken_at,
            capture_ns=self._clock.monotonic_ns() - taken_ns,
            origin=printable(self._files[index]),
            position_s=index / self._fps,
        )

    def close(self) -> None:
        """Do nothing: no file stays open between two reads."""


def decode(file: Path) -> Array:
    """Return the picture (h, w, 3) uint8 BGR that a file holds, upright.

    Raises:
        FrameError: the file cannot be read, is cut off, too large, or no picture.
    """
    data = _read_bytes(file)
    header = read_header(data)
    if header is None:
        formats = ", ".join(suffix[1:] for suffix in SUFFIXES)
        raise FrameError(printable(file), f"is no picture that inferd can read ({formats}); convert it to one of these")
    _check(file, header)
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    except cv2.error:  # its text is a line of C++ source; the header told all that a person can use
        picture = None
    if picture is None:
        raise FrameError(printable(file), f"is a damaged {header.format} that cannot be decoded; copy it again")
    return picture if picture.dtype == np.uint8 else _eight_bits(file, picture)


def _eight_bits(file: Path, picture: Array) -> Array:
    """Return a picture of 16 bits in 8: the upper half of each value.

    Raises:
        FrameError: its upper bits are empty. Cameras of 10, 12 and 14 bits write such files, and they would be almost black.
    """
    if picture.dtype != np.uint16:
        raise FrameError(printable(file), f"has {picture.dtype} pixels; convert it to 8 bits")
    brightest = int(picture.max())
    if 0 < brightest < 1 << FULL_BITS:
        fact = f"has 16 bits a pixel, of which {brightest.bit_length()} are used, as of a camera of 10, 12 or 14 bits"
        raise FrameError(printable(file), f"{fact}; scale it to 8 bits, or to all 16")
    upper: Array = (picture >> 8).astype(np.uint8)
    return upper


def _read_bytes(file: Path) -> bytes:
    try:
        if file.stat().st_size > LARGEST_FILE_BYTES:
            raise FrameError(printable(file), f"is larger than {LARGEST_FILE_BYTES >> 20} MiB; make it smaller")
        return file.read_bytes()
    except OSError as exc:
        raise FrameError(
            printable(file), f"cannot be read ({exc.strerror}); check that it is there and readable"
        ) from exc


def _check(file: Path, header: ImageHeader) -> None:
    """Refuse what would give half a picture or take all memory."""
    if not header.whole:
        raise FrameError(printable(file), f"is a {header.format} that breaks off before its end; copy it again")
    check_pixels(printable(file), header.width, header.height, most_pixels(), FrameError)


def _find_files(path: str) -> list[Path]:
    """Return the files that a path, folder or pattern means, sorted by name.

    Raises:
        SourceError: there are none.
    """
    start = Path(path)
    if start.is_file():
        return [start]
    if start.is_dir():
        files = sorted(file for file in start.iterdir() if file.suffix.lower() in SUFFIXES and file.is_file())
        fact = f"is a folder without pictures ({', '.join(SUFFIXES)}); put some there"
    else:
        files = sorted(Path(name) for name in glob.glob(path, recursive=True) if Path(name).is_file())  # noqa: PTH207 - the pattern may be absolute, which Path.glob refuses
        fact = "no such file, folder or matching picture; check the path"
    if not files:
        raise SourceError(path, fact)
    return files
