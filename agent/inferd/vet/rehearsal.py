"""Made-up frames of the kind that a model takes, through the steps of its pipeline: what raises here raises on every frame.

Decides nothing by content: no made-up frame says whether an answer is right.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from inferd.errors import InferdError
from inferd.records import Array, EngineInfo, Frame
from inferd.vet.golden import PROBE_SEED, finite, probes
from inferd.vet.side_by_side import LoadedModel
from inferd.wire.manifest import ModelDescription

PICTURE_SIZES = ((48, 64), (64, 48))  # height, width: lying and standing, so that both axes are resized and barred
CHANNELS_MAX = 16  # of a signal, where the manifest does not say which
ORIGIN = "a made-up frame"


def rehearse(loaded: LoadedModel) -> None:
    """Take made-up frames through preprocessing, model and task.

    Raises:
        InferdError: a step refuses; a pipeline would refuse every frame.
    """
    if not takes_signal(loaded.model.description):
        for frame in _frames(loaded.model.description, loaded.info):
            _answer(loaded, frame)
        return
    for frame in _windows(loaded):
        _answer(loaded, frame)


def _answer(loaded: LoadedModel, frame: Frame) -> None:
    """Take one frame through; outputs that are not finite are left to the gate of behaviour."""
    try:
        loaded.answer(frame)
    except InferdError:
        if finite(loaded.engine.read(lambda views: [np.array(view) for view in views])):
            raise


def takes_picture(description: ModelDescription) -> bool:
    """Whether a pipeline feeds this model pictures: its shape says so, and how pixels go in is known."""
    section = description.manifest.input
    known = section.mean is not None or section.range is not None
    return section.layout is not None and (known or description.manifest.model.task != "raw")


def takes_signal(description: ModelDescription) -> bool:
    """Whether a pipeline feeds this model windows of a signal whose length is known."""
    return description.manifest.signal.said and bool(description.manifest.signal.window)


def _frames(description: ModelDescription, info: EngineInfo) -> Iterator[Frame]:
    """Yield pictures for a model that takes them, else tensors."""
    if not takes_picture(description):
        for inputs in probes(info):
            yield frame_of({spec.name: array for spec, array in zip(info.inputs, inputs, strict=True)})
        return
    random = np.random.default_rng(PROBE_SEED)
    for height, width in PICTURE_SIZES:
        yield frame_of(np.zeros((height, width, 3), np.uint8))
        yield frame_of(random.integers(0, 256, (height, width, 3), np.uint8))


def _windows(loaded: LoadedModel) -> Iterator[Frame]:
    """Yield windows of as many channels as the manifest says, else as the model can be fed.

    Raises:
        InferdError: it can be fed with no number of channels.
    """
    section, random = loaded.model.description.manifest.signal, np.random.default_rng(PROBE_SEED)
    for channels in _channel_counts(section.channels):
        quiet = np.zeros((section.window or 1, channels), np.float32)
        frame = frame_of(quiet, section.rate_hz or 0.0)
        try:
            loaded.engine.write(partial(loaded.steps.preprocess, frame))
        except InferdError:
            if channels == _channel_counts(section.channels)[-1]:
                raise
            continue
        yield frame
        yield frame_of(random.uniform(-1, 1, quiet.shape).astype(np.float32), section.rate_hz or 0.0)
        return


def _channel_counts(said: tuple[int, ...] | str | None) -> list[int]:
    if isinstance(said, tuple):
        return [max(said, default=0) + 1]
    return [1] if said == "mix" else [*range(2, CHANNELS_MAX + 1), 1]


def frame_of(data: Array | dict[str, Array], rate_hz: float = 0.0) -> Frame:
    """Return a frame that follows none."""
    return Frame(data, seq=0, taken_ns=0, taken_at=0.0, origin=ORIGIN, rate_hz=rate_hz)
