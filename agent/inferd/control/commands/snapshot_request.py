"""A frame that the worker was asked for. Control passes the picture's descriptor on and never opens it."""

from __future__ import annotations

import os

import msgspec

from inferd import ipc
from inferd.errors import WorkerError
from inferd.system.clock import Clock
from inferd.system.files.memory_file import read_memory_file
from inferd.system.processes.channel import Channel, ChannelClosed
from inferd.wire.requests import LocalFrame, Snapshot

MQTT_BYTES = 34_000  # of a JPEG: in Base64, and encrypted, that is less than 64 kB, which our example of a broker takes
LATEST_S = 10.0  # the worker itself answers after 5 s that no frame comes


class SnapshotRequest:
    """Owned by control's main thread; `poll` and `close` never wait."""

    def __init__(self, pipeline: str, channel: Channel[ipc.FrameReply, ipc.Stop], clock: Clock) -> None:
        """Wait for the worker at the other end of `channel`, which is ours from now on."""
        self._pipeline = pipeline
        self._channel = channel
        self._clock = clock
        self._until_ns = clock.monotonic_ns() + round(LATEST_S * 1e9)

    def poll(self) -> tuple[LocalFrame, int] | None:
        """Return the frame and the descriptor of its picture, the caller's to close; None while it has not come.

        Raises:
            WorkerError: there is none.
        """
        try:
            received = self._channel.receive(0)
        except ChannelClosed:
            raise WorkerError(self._pipeline, "its worker ended before it sent a frame; see its status") from None
        if received is None:
            if self._clock.monotonic_ns() > self._until_ns:
                raise WorkerError(self._pipeline, f"its worker sent no frame within {LATEST_S:.0f} s; see its status")
            return None
        reply, fds = received
        if isinstance(reply, ipc.SnapshotRefused) or not fds:
            raise WorkerError("snapshot", reply.why if isinstance(reply, ipc.SnapshotRefused) else "no picture came")
        for fd in fds[1:]:
            os.close(fd)
        return LocalFrame(reply.pipeline, reply.tick.seq, reply.ref.title, reply.tick.result), fds[0]

    def close(self) -> None:
        """Wait no longer. Idempotent."""
        self._channel.close()


class MqttSnapshot:
    """A deferred answer over MQTT: the picture, in Base64."""

    def __init__(self, request: SnapshotRequest) -> None:
        """Answer with the frame of this request."""
        self._request = request

    def poll(self) -> str | None:
        """Return the answer as JSON; None while it has not come.

        Raises:
            WorkerError: there is none.
        """
        if (received := self._request.poll()) is None:
            return None
        frame, fd = received
        picture = read_memory_file(fd, MQTT_BYTES)
        if not picture:
            raise WorkerError("snapshot", f"the frame of {frame.pipeline!r} cannot be written as a JPEG")
        return msgspec.json.encode(Snapshot(frame.pipeline, frame.frame, frame.model, picture)).decode()

    def close(self) -> None:
        """Wait no longer. Idempotent."""
        self._request.close()
