"""What a camera of the kernel can give, asked by ioctl, and which of it costs least. videodev2.h of Linux; same on all boards."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

QUERYCAP = 0x80685600  # _IOR('V', 0, struct v4l2_capability), 104 bytes
ENUM_FMT = 0xC0405602  # _IOWR('V', 2, struct v4l2_fmtdesc), 64 bytes
ENUM_FRAMESIZES = 0xC02C564A  # _IOWR('V', 74, struct v4l2_frmsizeenum), 44 bytes
ENUM_FRAMEINTERVALS = 0xC034564B  # _IOWR('V', 75, struct v4l2_frmivalenum), 52 bytes
VIDEO_CAPTURE = 1  # both the capability's bit and the type of buffer
DEVICE_CAPS = 0x80000000
STREAMING = 0x04000000
DISCRETE = 1
BIG_ENDIAN = 1 << 31  # of a pixel format; none of those that OpenCV converts
MOST_ANSWERS = 256  # of one enumeration; a driver that never ends its list must not hang us

# Those that OpenCV turns into BGR by itself, cheapest to fetch and convert first.
CONVERTIBLE = ("BGR3", "RGB3", "YUYV", "UYVY", "YVYU", "NV12", "NV21", "YU12", "YV12", "GREY", "MJPG", "JPEG")


@dataclass(frozen=True, slots=True)
class Mode:
    """A pixel format at a size. `fps` is the most it gives, 0.0 where the driver does not say."""

    fourcc: str
    width: int
    height: int
    fps: float = 0.0


@dataclass(frozen=True, slots=True)
class Range:
    """Sizes that a driver gives in steps, or a single one: lowest, highest and step of width and height."""

    width: tuple[int, int, int]
    height: tuple[int, int, int]

    def at_least(self, width: int, height: int) -> tuple[int, int]:
        """Return the smallest size that has at least this many pixels each way, else the largest there is."""
        return _step(self.width, width), _step(self.height, height)


def choose(modes: Sequence[Mode], width: int, height: int, fps: float, fourcc: str) -> Mode | None:
    """Return the mode that costs least and still feeds the model; None where there is none that can be read.

    Size comes first: the smallest that needs no enlarging, for a pixel that is never sent costs nothing. Then the rate,
    then the format: what is raw needs no decoding, but at high rates many cameras have only JPEG.

    Args:
        modes: what there is.
        width: at least; 0 takes any.
        height: at least; 0 takes any.
        fps: at least; 0.0 takes any.
        fourcc: the only format to take; "" takes any that OpenCV converts.
    """
    usable = [mode for mode in modes if mode.fourcc in ((fourcc,) if fourcc else CONVERTIBLE)]

    def cost(mode: Mode) -> tuple[bool, int, bool, int]:
        small = mode.width < width or mode.height < height
        area = mode.width * mode.height
        slow = 0 < mode.fps < fps
        rank = CONVERTIBLE.index(mode.fourcc) if mode.fourcc in CONVERTIBLE else 0
        return small, -area if small else area, slow, rank

    return min(usable, key=cost, default=None)


def can_capture(fd: int) -> bool:
    """Return whether this is a camera: other nodes of the same stick carry metadata only.

    Raises:
        OSError: it is nothing of Video4Linux at all.
    """
    answer = bytearray(104)
    fcntl.ioctl(fd, QUERYCAP, answer)
    all_of_it, this_node = struct.unpack_from("<II", answer, 84)
    flags = this_node if all_of_it & DEVICE_CAPS else all_of_it
    return bool(flags & VIDEO_CAPTURE and flags & STREAMING)


def modes(fd: int, width: int, height: int) -> list[Mode]:
    """Return every format of a camera in every size; of sizes in steps only the one that fits best."""
    return [
        Mode(fourcc, *size, _fastest(fd, code, *size))
        for code, fourcc in _formats(fd)
        for size in {sizes.at_least(width, height) for sizes in _sizes(fd, code)}
    ]


def _formats(fd: int) -> Iterator[tuple[int, str]]:
    for index in range(MOST_ANSWERS):
        question = bytearray(struct.pack("<II", index, VIDEO_CAPTURE).ljust(64, b"\0"))
        if not _ioctl(fd, ENUM_FMT, question):
            return
        (code,) = struct.unpack_from("<I", question, 44)
        yield code, (code & ~BIG_ENDIAN).to_bytes(4, "little").decode("latin-1")


def _sizes(fd: int, code: int) -> Iterator[Range]:
    for index in range(MOST_ANSWERS):
        question = bytearray(struct.pack("<II", index, code).ljust(44, b"\0"))
        if not _ioctl(fd, ENUM_FRAMESIZES, question):
            return
        (kind,) = struct.unpack_from("<I", question, 8)
        if kind == DISCRETE:
            width, height = struct.unpack_from("<II", question, 12)
            yield Range((width, width, 1), (height, height, 1))
        else:  # it has one answer only
            numbers = struct.unpack_from("<6I", question, 12)
            yield Range(numbers[:3], numbers[3:])
            return


def _fastest(fd: int, code: int, width: int, height: int) -> float:
    """Return the most frames a second of a size; a list of them may begin with the slowest, as vivid's does."""
    rates = [0.0]
    for index in range(MOST_ANSWERS):
        question = bytearray(struct.pack("<IIII", index, code, width, height).ljust(52, b"\0"))
        if not _ioctl(fd, ENUM_FRAMEINTERVALS, question):
            break
        kind, numerator, denominator = struct.unpack_from("<III", question, 16)  # of a range, the shortest comes first
        rates.append(denominator / numerator if numerator else 0.0)
        if kind != DISCRETE:
            break
    return max(rates)


def _ioctl(fd: int, request: int, question: bytearray) -> bool:
    """Ask; return False where the list is at its end, or the driver knows no such list."""
    try:
        fcntl.ioctl(fd, request, question)
    except OSError:
        return False
    return True


def _step(limits: tuple[int, int, int], wanted: int) -> int:
    low, high, step = limits
    steps = -(-max(0, wanted - low) // max(1, step))
    return min(high, low + steps * max(1, step))


def open_node(path: str) -> int:
    """Open a device node for questions only; others may go on using it.

    Raises:
        OSError: it is not there, or may not be opened.
    """
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
