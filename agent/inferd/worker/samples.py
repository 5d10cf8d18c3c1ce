"""Keeps hard samples on this device's disk in a ring bounded in bytes; they never leave the device by themselves.

A picture is a PNG, a signal or tensors an .npz; a .json beside it holds the reason, the model and its result.
"""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from inferd.config import settings
from inferd.pipeline import ObservedFrame
from inferd.records import Frame
from inferd.system.files.atomic import UNFINISHED, write_atomic
from inferd.system.threads import Event, Latest
from inferd.tasks.drawing.draw import bgr, png

log = logging.getLogger(__name__)

PRIVATE, PRIVATE_FOLDER = 0o600, 0o700  # pictures of people may be among them
NUMBERED = re.compile(r"(\d{8})-\d{8}T")
WAIT_S = 0.5  # how often `stop` is checked


class SampleRing:
    """A folder of samples, bounded in bytes. Owned by one thread.

    Samples are numbered in the order in which they came: a board without a clock dates the first ones 1970.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Use a folder; it is made with the first sample, and files in it count."""
        self._folder = folder
        self._most_bytes = most_bytes
        self._next: int | None = None

    def add(self, name: str, suffix: str, content: bytes, told: bytes) -> None:
        """Write a sample and its description; the oldest are deleted. One larger than the ring is left out.

        Raises:
            OSError: the disk refuses.
        """
        if len(content) + len(told) > self._most_bytes:
            return
        if self._next is None:
            self._next = self._begin()
        self._make_room(len(content) + len(told))
        numbered = f"{self._next:08d}-{name}"
        write_atomic(self._folder / f"{numbered}{suffix}", content, mode=PRIVATE)
        write_atomic(self._folder / f"{numbered}.json", told, mode=PRIVATE)
        self._next += 1

    def _begin(self) -> int:
        """Make the folder, delete what was left unfinished, and return the next number."""
        self._folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        for path in self._folder.glob(f"{UNFINISHED}*"):
            path.unlink(missing_ok=True)
        return 1 + max((_number(path) for path in self._folder.iterdir()), default=0)

    def _make_room(self, wanted_bytes: int) -> None:
        files = [path for path in self._folder.iterdir() if path.suffix in (".png", ".npz", ".json")]
        sizes = {path: path.stat().st_size for path in sorted(files, key=lambda path: (_number(path), path.name))}
        used = sum(sizes.values())
        for path, size in sizes.items():
            if used + wanted_bytes <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            used -= size


def _number(sample: Path) -> int:
    """Return the number with which a sample's name begins; 0 where it has none, as those of an older inferd."""
    number = NUMBERED.match(sample.name)
    return int(number[1]) if number else 0


class SampleWriter:
    """Body of the thread that writes one pipeline's samples; a slow disk loses samples, never frames."""

    def __init__(self, pipeline: settings.Pipeline, picked: Latest[tuple[str, ObservedFrame]], stop: Event) -> None:
        """Prepare.

        Args:
            pipeline: its configuration.
            picked: samples from the loop, newest only.
            stop: ends the thread.
        """
        self._name = pipeline.name
        rules = pipeline.samples
        self._ring = SampleRing(Path(rules.folder) / pipeline.name, round(rules.keep_mb * 1e6))
        self._picked = picked
        self._stop = stop
        self._complained = False

    def run(self) -> None:
        """Write picked samples until `stop` is set; a failing disk is logged once."""
        while not self._stop.is_set():
            picked = self._picked.wait_take(WAIT_S)
            if picked is None:
                continue
            try:
                self._write(*picked)
            except Exception as exc:  # noqa: BLE001 - a frame of any shape comes here; the worker must outlive it
                if not self._complained:
                    why = exc.strerror if isinstance(exc, OSError) else type(exc).__name__
                    log.warning("%s: hard samples cannot be written: %s", self._name, why)
                self._complained = True

    def _write(self, why: str, seen: ObservedFrame) -> None:
        taken = datetime.fromtimestamp(seen.turn.taken_at, tz=UTC)
        name = f"{taken:%Y%m%dT%H%M%S}{taken.microsecond // 1000:03d}-{seen.turn.seq}"
        told = {"why": why, "model": seen.ref, "origin": seen.turn.origin, "taken_at": taken.isoformat()}
        suffix, content = encode(seen.frame)
        self._ring.add(name, suffix, content, msgspec.json.encode({**told, "result": seen.turn.result}, enc_hook=str))


def encode(frame: Frame) -> tuple[str, bytes]:
    """Return a frame as a file's suffix and lossless content."""
    if not isinstance(frame.data, Mapping) and frame.data.dtype == "uint8":
        return ".png", png(bgr(frame.data, frame.color_order))
    arrays = frame.data if isinstance(frame.data, Mapping) else {"signal": frame.data}
    stream = io.BytesIO()
    np.savez_compressed(stream, **arrays)  # type: ignore[arg-type]  # arrays by any name
    return ".npz", stream.getvalue()
