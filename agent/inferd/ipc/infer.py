"""Messages between `inferd infer` and its child."""

from __future__ import annotations

import msgspec

from inferd.config.settings import EngineConfig, Source, TrackConfig
from inferd.ipc.base import IpcMessage
from inferd.records import EngineInfo, Tick
from inferd.wire.manifest import ModelDescription


class SecondModel(msgspec.Struct, frozen=True):
    """A model that runs on crops of the objects that another found; the last attached descriptor is its file."""

    description: ModelDescription
    engine: EngineConfig


class Infer(IpcMessage, frozen=True):
    """Command line → one-shot child: run a vetted model, whose descriptor is attached, on inputs.

    Attributes:
        description: of the model.
        engine: how to run it.
        sources: what to read, each to its end.
        draw_dir: where pictures with results go; "" for none.
        track: whether boxes are tracked from frame to frame.
        closer: a model to run on each object; None for none.
    """

    description: ModelDescription
    engine: EngineConfig
    sources: tuple[Source, ...]
    draw_dir: str
    track: TrackConfig = TrackConfig()
    closer: SecondModel | None = None


class Inferred(IpcMessage, frozen=True):
    """One-shot child → command line: the result of one frame."""

    tick: Tick
    drawn: str


class InputFailed(IpcMessage, frozen=True):
    """One-shot child → command line: an input, or one picture of it, failed; the others go on."""

    why: str


class InferDone(IpcMessage, frozen=True):
    """One-shot child → command line: all inputs are done."""

    info: EngineInfo


FromOneshot = Inferred | InputFailed | InferDone
