"""What a command says to the agent on this device, and what it hears."""

from __future__ import annotations

from inferd.ipc.base import IpcMessage
from inferd.records import ModelRef, Tick


class AskFrame(IpcMessage, frozen=True):
    """Command line → control: the next frame of a pipeline; "" is the only one there is."""

    pipeline: str
    drawn: bool


class SnapshotTaken(IpcMessage, frozen=True):
    """Worker → command line: a frame and its result; the descriptor of a PNG or JPEG comes beside."""

    pipeline: str
    ref: ModelRef
    tick: Tick


class SnapshotRefused(IpcMessage, frozen=True):
    """Control or worker → command line: why there is no frame."""

    why: str


class AskModels(IpcMessage, frozen=True):
    """Command line → control: one of the verbs of `requests.py`, and what it is about."""

    verb: str
    arguments: tuple[str, ...] = ()


class ModelsAnswer(IpcMessage, frozen=True):
    """Control → command line: the answer as JSON text, or the sentence why there is none."""

    told: str = ""
    error: str = ""


class AskStatus(IpcMessage, frozen=True):
    """Command line → control: how the device is; answered by `ModelsAnswer`."""


FromViewer = AskFrame | AskModels | AskStatus


ToViewer = SnapshotTaken | SnapshotRefused | ModelsAnswer
