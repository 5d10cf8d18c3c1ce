"""What `inferd infer` and its child say to each other."""

from __future__ import annotations

import msgspec

from inferd.config.settings import EngineConfig, Source, TrackConfig
from inferd.ipc.base import IpcMessage
from inferd.records import EngineInfo, Tick
from inferd.wire.manifest import ModelDescription


class SecondModel(msgspec.Struct, frozen=True):
    """A model that looks closer at what another found; the last descriptor beside is its own."""

    description: ModelDescription
    engine: EngineConfig


class Infer(IpcMessage, frozen=True):
    """Command line → one-shot child: run an examined model, whose descriptor comes beside, over inputs.

    Attributes:
        description: of the model.
        engine: how to run it.
        sources: what to read, each to its end.
        draw_dir: where pictures with results go; "" for none.
        track: whether boxes are followed from frame to frame.
        closer: what is to look at each object; None where nothing is.
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
    """One-shot child → command line: an input, or one picture of it, gave no result; the others go on."""

    why: str


class InferDone(IpcMessage, frozen=True):
    """One-shot child → command line: all inputs are through."""

    info: EngineInfo


FromOneshot = Inferred | InputFailed | InferDone
