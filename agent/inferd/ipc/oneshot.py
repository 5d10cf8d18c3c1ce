"""What `inferd infer` and its child say to each other."""

from __future__ import annotations

import msgspec

from inferd.config.settings import Engine, Source, Track
from inferd.ipc.base import Message
from inferd.records import EngineInfo, Tick
from inferd.wire.manifest import ModelDescription


class Closer(msgspec.Struct, frozen=True):
    """A model that looks closer at what another found; the last descriptor beside is its own."""

    description: ModelDescription
    engine: Engine


class Infer(Message, frozen=True):
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
    engine: Engine
    sources: tuple[Source, ...]
    draw_dir: str
    track: Track = Track()
    closer: Closer | None = None


class Inferred(Message, frozen=True):
    """One-shot child → command line: the result of one frame."""

    tick: Tick
    drawn: str


class InputFailed(Message, frozen=True):
    """One-shot child → command line: an input, or one picture of it, gave no result; the others go on."""

    why: str


class InferDone(Message, frozen=True):
    """One-shot child → command line: all inputs are through."""

    info: EngineInfo


FromOneshot = Inferred | InputFailed | InferDone
