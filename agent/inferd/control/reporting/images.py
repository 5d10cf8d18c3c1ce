"""Publishes a picture of a pipeline when its settled answer changes. The worker draws and encodes it; control passes it on."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from inferd.config import settings
from inferd.control.reporting.publisher import Publisher
from inferd.errors import InferdError
from inferd.system.clock import Clock
from inferd.system.files.memory_file import read_memory_file

log = logging.getLogger(__name__)


class FrameRequest(Protocol):
    """A frame that the worker was asked for."""

    def poll(self) -> tuple[object, int] | None:
        """Return the frame and the descriptor of its JPEG, the caller's to close; None while it has not come."""

    def close(self) -> None:
        """Wait no longer."""


RequestFrame = Callable[[str, bool, int], FrameRequest]
"""Asks the worker for the next frame of a pipeline, drawn or not, as a JPEG of at most so many bytes; may raise InferdError."""


@dataclass(slots=True)
class _Pending:
    """What one pipeline waits for."""

    options: settings.ImageConfig
    wanted: bool = False
    due_ns: int = 0
    request: FrameRequest | None = None


class ImagePublisher:
    """Owned by control's main thread. Holds at most one request for each pipeline."""

    def __init__(self, publisher: Publisher, request: RequestFrame, clock: Clock) -> None:
        """Publish nothing yet."""
        self._publisher = publisher
        self._request = request
        self._clock = clock
        self._pipelines: dict[str, _Pending] = {}

    def configure(self, pipelines: Iterable[settings.Pipeline]) -> None:
        """Use these options from now on; retained pictures of pipelines that publish none any more are cleared."""
        before, self._pipelines = self._pipelines, {}
        for one in pipelines:
            if one.image.publish == "change":
                pending = before.pop(one.name, None) or _Pending(one.image)
                pending.options = one.image
                self._pipelines[one.name] = pending
        for name, gone in before.items():
            self._end(gone)
            if gone.options.retain:
                self._publisher.image(name, b"", retain=True)

    def settled(self, pipeline: str) -> None:
        """Note that the settled answer of a pipeline changed."""
        if (pending := self._pipelines.get(pipeline)) is not None:
            pending.wanted = True

    def turn(self) -> None:
        """Request the pictures that are due, and publish those that have come."""
        for name, pending in self._pipelines.items():
            try:
                self._advance(name, pending)
            except InferdError as exc:
                self._end(pending)
                log.info("%s: no picture published: %s", name, exc)

    def close(self) -> None:
        """Wait no longer. Idempotent."""
        for pending in self._pipelines.values():
            self._end(pending)

    def _advance(self, name: str, pending: _Pending) -> None:
        now_ns = self._clock.monotonic_ns()
        options = pending.options
        if pending.request is None:
            if pending.wanted and now_ns >= pending.due_ns:
                pending.wanted = False
                pending.due_ns = now_ns + int(options.interval_s * 1e9)
                pending.request = self._request(name, options.drawn, options.max_kb * 1000)
        elif (received := pending.request.poll()) is not None:
            self._end(pending)
            picture = read_memory_file(received[1], options.max_kb * 1000)
            if picture:
                self._publisher.image(name, picture, retain=options.retain)

    def _end(self, pending: _Pending) -> None:
        if pending.request is not None:
            pending.request.close()
            pending.request = None
