"""A look through a pipeline's eyes: its next frame with what was found in it. In the worker, one thread a look.

Whoever asks is connected to control, which hands the connection on to the worker; so a picture goes from the worker to the
terminal through a memfd, and control never touches it. (For who asks over the broker, control is the one at the other end.)
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

WAIT_S = 5.0  # for a frame to come: as long as a person waits without wondering

ToViewer = Channel[ipc.FromViewer, ipc.ToViewer]


class SnapshotWriter:
    """Body of a viewer's thread."""

    def __init__(
        self, channel: ToViewer, lane: PipelineQueue, encode: Callable[[Array], bytes], *, drawn: bool
    ) -> None:
        """Prepare.

        Args:
            channel: to whoever looks; closed when `run` ends.
            lane: whose next frame it is.
            encode: makes a file of a picture, (h, w, 3) uint8 BGR or (h, w) uint8.
            drawn: whether what was found is drawn on it.
        """
        self._channel = channel
        self._lane = lane
        self._encode = encode
        self._drawn = drawn

    def run(self) -> None:
        """Wait for the next result and send it with its frame; say why where none comes."""
        with closing(self._channel):
            try:
                self._send(self._lane.look(WAIT_S))
            except ChannelClosed:
                return  # nobody looks any more

    def _send(self, seen: ObservedFrame | None) -> None:
        name = self._lane.pipeline.name
        if seen is None:
            self._channel.offer(
                ipc.SnapshotRefused(f"pipeline {name!r} gave no result in {WAIT_S:.0f} s; see its status")
            )
            return
        picture = seen.frame.data
        if isinstance(picture, Mapping) or picture.dtype != "uint8":
            self._channel.offer(
                ipc.SnapshotRefused(f"pipeline {name!r} reads no pictures, so there is nothing to look at")
            )
            return
        shown = bgr(picture, seen.frame.color_order)
        if self._drawn:
            shown = draw(shown, seen.turn.result, seen.overlay, self._lane.pipeline.zone, self._lane.pipeline.line)
        fd = memory_file("inferd-snapshot", self._encode(shown))
        try:
            self._channel.offer(ipc.SnapshotTaken(name, seen.ref, seen.turn), [fd])
        finally:
            os.close(fd)
