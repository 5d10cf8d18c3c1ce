"""A frame for somebody far away: the worker shows it to control as a JPEG, which passes it on as it is."""

from __future__ import annotations

import msgspec

from inferd import ipc
from inferd.errors import WorkerError
from inferd.system.clock import Clock
from inferd.system.files.memory_file import read_memory_file
from inferd.system.processes.channel import Channel, ChannelClosed
from inferd.wire.requests import Snapshot

JPEG_BYTES = 34_000  # in Base64, and sealed, that is less than 64 kB, which our example of a broker takes
LATEST_S = 10.0  # the worker itself says after 5 s that no frame comes


class SnapshotRequest:
    """A frame that the worker was asked for. Owned by control's main thread; `told` and `close` never wait."""

    def __init__(self, pipeline: str, channel: Channel[ipc.ToViewer, ipc.FromViewer], clock: Clock) -> None:
        """Wait for the worker at the other end of `channel`, which is ours from now on."""
        self._pipeline = pipeline
        self._channel = channel
        self._clock = clock
        self._until_ns = clock.monotonic_ns() + round(LATEST_S * 1e9)

    def told(self) -> str | None:
        """Return the picture as JSON; None while it has not come.

        Raises:
            WorkerError: there is none.
        """
        try:
            received = self._channel.receive(0)
        except ChannelClosed:
            raise WorkerError(self._pipeline, "its worker ended before it showed a frame; see its status") from None
        if received is None and self._clock.monotonic_ns() > self._until_ns:
            raise WorkerError(self._pipeline, f"its worker showed no frame within {LATEST_S:.0f} s; see its status")
        return _snapshot(*received) if received is not None else None

    def close(self) -> None:
        """Look no longer. Twice is fine."""
        self._channel.close()


def _snapshot(shown: ipc.ToViewer, fds: list[int]) -> str:
    if not isinstance(shown, ipc.SnapshotTaken) or not fds:
        raise WorkerError("snapshot", shown.why if isinstance(shown, ipc.SnapshotRefused) else "no picture came")
    picture = read_memory_file(fds[0], JPEG_BYTES)
    if not picture:
        raise WorkerError("snapshot", f"the frame of {shown.pipeline!r} cannot be written as a JPEG")
    return msgspec.json.encode(Snapshot(shown.pipeline, shown.tick.seq, shown.ref.title, picture)).decode()
