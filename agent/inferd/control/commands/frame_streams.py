"""The frames stream of the local socket: the worker encodes one picture, and all who look get its descriptor."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from inferd.control.commands.snapshot_request import SnapshotRequest
from inferd.control.reporting.subscriber import MOST_SUBSCRIBERS, StreamSubscriber
from inferd.errors import InferdError
from inferd.system.clock import Clock
from inferd.wire.requests import LocalFrame, LocalResponse

FRAME_S = 0.2  # at least, between two frames of a pipeline
AFTER_FAULT_S = 1.0
JPEG_BYTES = 200_000


@dataclass(slots=True)
class _Stream:
    """Those who look at one pipeline, with what was found drawn on it or not."""

    pipeline: str
    drawn: bool
    subscribers: list[StreamSubscriber] = field(default_factory=list)
    request: SnapshotRequest | None = None
    due_ns: int = 0


class FrameStreams:
    """Owned by control's main thread."""

    def __init__(self, request: Callable[[str, bool, int], SnapshotRequest], clock: Clock) -> None:
        """Start without subscribers.

        Args:
            request: asks the worker for a frame of a pipeline, drawn or not, as a JPEG of at most so many bytes; may
                raise InferdError.
            clock: for the rate.
        """
        self._request = request
        self._clock = clock
        self._streams: dict[tuple[str, bool], _Stream] = {}

    def subscribe(self, connection: socket.socket, pipeline: str, *, drawn: bool) -> bool:
        """Send frames of a pipeline over a connection from now on; False where there are too many subscribers."""
        self._remove_gone()
        if sum(len(one.subscribers) for one in self._streams.values()) >= MOST_SUBSCRIBERS:
            return False
        stream = self._streams.setdefault((pipeline, drawn), _Stream(pipeline, drawn))
        stream.subscribers.append(StreamSubscriber(connection, self._clock))
        return True

    @property
    def busy(self) -> bool:
        """Whether the worker was asked for a frame that has not come."""
        return any(stream.request is not None for stream in self._streams.values())

    def turn(self) -> None:
        """Hand on frames that have come, and request those that are due."""
        self._remove_gone()
        for stream in self._streams.values():
            try:
                self._advance(stream)
            except InferdError as exc:
                self._end_request(stream, AFTER_FAULT_S)
                self._offer(stream, LocalResponse("error", error=str(exc)))

    def close(self) -> None:
        """Close all connections. Idempotent."""
        for stream in self._streams.values():
            for one in stream.subscribers:
                one.close()
        self._remove_gone()

    def _advance(self, stream: _Stream) -> None:
        if stream.request is None:
            # A frame is only taken for those who have read the one before: so each holds one, however slow it is.
            if self._clock.monotonic_ns() >= stream.due_ns and any(one.has_read_all for one in stream.subscribers):
                stream.request = self._request(stream.pipeline, stream.drawn, JPEG_BYTES)
        elif (received := stream.request.poll()) is not None:
            frame, fd = received
            try:
                self._end_request(stream, FRAME_S)
                self._offer(stream, frame, fd)
            finally:
                os.close(fd)

    def _offer(self, stream: _Stream, message: LocalFrame | LocalResponse, fd: int | None = None) -> None:
        packet = msgspec.json.encode(message)
        for one in stream.subscribers:
            if one.has_read_all:
                one.offer(packet, fd)
            else:
                one.miss()

    def _end_request(self, stream: _Stream, pause_s: float) -> None:
        if stream.request is not None:
            stream.request.close()
        stream.request = None
        stream.due_ns = self._clock.monotonic_ns() + int(pause_s * 1e9)

    def _remove_gone(self) -> None:
        for key, stream in list(self._streams.items()):
            for one in stream.subscribers:
                one.check()
            stream.subscribers = [one for one in stream.subscribers if not one.gone]
            if not stream.subscribers:
                self._end_request(stream, 0.0)
                del self._streams[key]
