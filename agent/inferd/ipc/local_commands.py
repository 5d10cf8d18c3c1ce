"""What a command says to the agent on this device, and what it hears."""

from __future__ import annotations

from inferd.ipc.base import Message
from inferd.records import ModelRef, Tick


class AskFrame(Message, frozen=True):
    """Command line → control: the next frame of a pipeline; "" is the only one there is."""

    pipeline: str
    drawn: bool


class Shown(Message, frozen=True):
    """Worker → command line: a frame and its result; the descriptor of a PNG or JPEG comes beside."""

    pipeline: str
    ref: ModelRef
    tick: Tick


class NotShown(Message, frozen=True):
    """Control or worker → command line: why there is no frame."""

    why: str


class AskModels(Message, frozen=True):
    """Command line → control: one of the verbs of `requests.py`, and what it is about."""

    verb: str
    arguments: tuple[str, ...] = ()


class ToldModels(Message, frozen=True):
    """Control → command line: the answer as JSON text, or the sentence why there is none."""

    told: str = ""
    error: str = ""


class AskStatus(Message, frozen=True):
    """Command line → control: how the device is; answered by `ToldModels`."""


FromViewer = AskFrame | AskModels | AskStatus


ToViewer = Shown | NotShown | ToldModels
