"""Keeps hard samples on this device's disk in a ring bounded in bytes; they never leave the device by themselves.

A picture is a PNG, a signal or tensors an .npz; a .json beside it holds the reason, the model and its result.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np

from inferd.config import settings
from inferd.pipeline import ObservedFrame
from inferd.records import Frame
from inferd.system.files.atomic import write_atomic
from inferd.system.threads import Event, Latest
from inferd.tasks.drawing.draw import bgr, png

log = logging.getLogger(__name__)

WAIT_S = 0.5  # how often `stop` is checked


class SampleRing:
    """A folder of samples, bounded in bytes. Owned by one thread."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        """Use a folder; it is made with the first sample, and files in it count."""
        self._folder = folder
        self._most_bytes = most_bytes

    def add(self, name: str, suffix: str, content: bytes, told: bytes) -> None:
        """Write a sample and its description; the oldest are deleted. One larger than the ring is left out.

        Raises:
            OSError: the disk refuses.
        """
        if len(content) + len(told) > self._most_bytes:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room(len(content) + len(told))
        write_atomic(self._folder / f"{name}{suffix}", content)
        write_atomic(self._folder / f"{name}.json", told)

    def _make_room(self, wanted_bytes: int) -> None:
        files = sorted(path for path in self._folder.iterdir() if path.suffix in (".png", ".npz", ".json"))
        sizes = {path: path.stat().st_size for path in files}
        used = sum(sizes.values())
        for path in files:  # by name, which begins with the time
            if used + wanted_bytes <= self._most_bytes:
                return
            path.unlink(missing_ok=True)
            used -= sizes[path]


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
            except OSError as exc:
                if not self._complained:
                    log.warning("%s: hard samples cannot be written: %s", self._name, exc.strerror)
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
