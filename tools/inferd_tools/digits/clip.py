"""Writes and reads the clip: the held-out digits as a camera would see them, and beside it the truth of each frame."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from inferd_tools.digits.data import Digits
from inferd_tools.digits.draw import CLIP_REACH, DESK, SIDE_PX, TREMOR_REACH, draw, stray

Array = NDArray[Any]
FPS = 15
FRAMES_PER_DIGIT = 3
_SEED = 8
_HEX = "0123456789abcdeff"  # the last two: full ink is 16, and one digit has to do


class ClipTruth(msgspec.Struct, frozen=True):
    """What is known of each frame of a clip.

    Attributes:
        fps: frames a second.
        frames: how many.
        labels: for each frame, the line of labels.txt that is right.
        samples: for each frame, which of `pictures` it shows.
        pictures: each digit as 64 hex digits of ink, row by row; "f" is 15 or 16.
    """

    fps: int
    frames: int
    labels: tuple[str, ...]
    samples: tuple[int, ...]
    pictures: tuple[str, ...]


def truth_of(digits: Digits) -> ClipTruth:
    """Return what the clip of these digits shows."""
    samples = tuple(int(index) for index in np.repeat(np.arange(len(digits.labels)), FRAMES_PER_DIGIT))
    labels = tuple(str(digits.labels[index]) for index in samples)
    pictures = tuple("".join(_HEX[ink] for ink in cells.ravel()) for cells in digits.cells)
    return ClipTruth(FPS, len(samples), labels, samples, pictures)


def frames_of(digits: Digits) -> Iterator[Array]:
    """Give each frame as (128, 128) uint8 grey: every digit lies anew on the desk and trembles a little."""
    rng = np.random.default_rng(_SEED)
    for cells in digits.cells:
        view = stray(DESK, CLIP_REACH, rng)
        for _ in range(FRAMES_PER_DIGIT):
            yield draw(cells, stray(view, TREMOR_REACH, rng), rng)


def write(folder: Path, digits: Digits) -> None:
    """Write `clip.avi` and `clip.json`.

    Raises:
        RuntimeError: this OpenCV cannot write Motion JPEG through FFmpeg.
    """
    size = (SIDE_PX, SIDE_PX)
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(
        str(folder / "clip.avi"), cv2.CAP_FFMPEG, codec, FPS, size
    )  # OpenCV's own gives 5x the bytes
    if not writer.isOpened():
        raise RuntimeError("this OpenCV writes no Motion JPEG through FFmpeg; use opencv-python-headless from PyPI")
    for frame in frames_of(digits):
        writer.write(cv2.cvtColor(frame, cv2.COLOR_GRAY2BGR))
    writer.release()
    (folder / "clip.json").write_bytes(msgspec.json.encode(truth_of(digits)) + b"\n")


def read_truth(path: Path) -> ClipTruth:
    """Return what `clip.json` says."""
    return msgspec.json.decode(path.read_bytes(), type=ClipTruth)


def read_frames(path: Path) -> Iterator[Array]:
    """Give the frames of a clip as (h, w, 3) uint8 BGR."""
    capture = cv2.VideoCapture(str(path))
    try:
        while (read := capture.read())[0]:
            yield np.asarray(read[1])
    finally:
        capture.release()
