"""The worker's reply to a request for a frame, over a socket pair that control gave it."""

from __future__ import annotations

from inferd.ipc.base import IpcMessage
from inferd.records import ModelRef, Tick


class SnapshotTaken(IpcMessage, frozen=True):
    """Worker → control: a frame and its result; the descriptor of a PNG or JPEG comes with it."""

    pipeline: str
    ref: ModelRef
    tick: Tick


class SnapshotRefused(IpcMessage, frozen=True):
    """Worker → control: why there is no frame."""

    why: str


FrameReply = SnapshotTaken | SnapshotRefused
