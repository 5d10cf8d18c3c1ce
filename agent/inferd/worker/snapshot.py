"""A snapshot: a pipeline's next frame with its result. In the worker, one thread each.

Control passes the client's connection on to the worker, which sends the picture as a memfd; control never touches it.
(For requests by MQTT, control is the client.)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing

from inferd import ipc
from inferd.pipeline import ObservedFrame, PipelineQueue
from inferd.records import Array
from inferd.system.files.memory_file import memory_file
from inferd.system.processes.channel import Channel, ChannelClosed
from inferd.tasks.drawing.draw import bgr, draw

WAIT_S = 5.0  # for the next frame

FrameChannel = Channel[ipc.Stop, ipc.FrameReply]  # control sends nothing on it


class SnapshotWriter:
    """Body of a snapshot thread."""

    def __init__(
        self, channel: FrameChannel, queue: PipelineQueue, encode: Callable[[Array], bytes], *, drawn: bool
    ) -> None:
        """Prepare.

        Args:
            channel: to the client; closed when `run` ends.
            queue: the pipeline's queue.
            encode: encodes a picture, (h, w, 3) uint8 BGR or (h, w) uint8.
            drawn: whether the result is drawn on it.
        """
        self._channel = channel
        self._queue = queue
        self._encode = encode
        self._drawn = drawn

    def run(self) -> None:
        """Send the next frame with its result, or the reason why none came."""
        with closing(self._channel):
            try:
                self._send(self._queue.wait_observed(WAIT_S))
            except ChannelClosed:
                return  # the client has gone
            except Exception as exc:  # noqa: BLE001 - a frame of any shape comes here; the worker must outlive it
                self._channel.offer(ipc.SnapshotRefused(f"the frame cannot be drawn ({type(exc).__name__})"))

    def _send(self, seen: ObservedFrame | None) -> None:
        name = self._queue.pipeline.name
        if seen is None:
            self._channel.offer(
                ipc.SnapshotRefused(f"pipeline {name!r} gave no result in {WAIT_S:.0f} s; see its status")
            )
            return
        picture = seen.frame.data
        if isinstance(picture, Mapping) or picture.dtype != "uint8":
            self._channel.offer(ipc.SnapshotRefused(f"pipeline {name!r} reads no pictures, so it has no snapshot"))
            return
        shown = bgr(picture, seen.frame.color_order)
        if self._drawn:
            shown = draw(shown, seen.turn.result, seen.overlay, self._queue.pipeline.zone, self._queue.pipeline.line)
        fd = memory_file("inferd-snapshot", self._encode(shown))
        try:
            self._channel.offer(ipc.SnapshotTaken(name, seen.ref, seen.turn), [fd])
        finally:
            os.close(fd)
