"""The source thread of one pipeline: opens its source, paces it, and puts its newest frame into the queue."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from typing import Protocol

import msgspec

from inferd.config import settings
from inferd.errors import EndOfInput, FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.pipeline import PipelineQueue
from inferd.records import Frame, PipelineState, Wanted
from inferd.sources.pacing import Pacer
from inferd.system.clock import Clock
from inferd.system.threads import Event
from inferd.worker.cascade import CascadeExchange
from inferd.worker.opened_source import OpenedSource, adjustment

READ_S = 1.0  # longest wait of one read before `stop` is checked
SILENT_S = 10.0  # a live source without a frame for so long is reopened
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
MODEL_S = 0.1  # how often a source that waits for its model checks for it
SIDEWAYS = (90, 270)  # degrees at which a camera's width becomes the height of its pictures
SWAPPED = {"width": "height", "height": "width"}
WANTED = {"width": "width", "height": "height", "rate_hz": "rate_hz", "to_hz": "rate_hz", "window": "window"}
"""Options whose 0 means "as the model wants", and the field of `Wanted` that fills each."""


def leaves_to_model(options: settings.Source) -> bool:
    """Whether a source's options have a 0 where it means "as the model wants"."""
    return any(getattr(options, name, 1) == 0 for name in WANTED)


def settle(options: settings.Source, wanted: Wanted) -> settings.Source:
    """Return the options with what is 0 as the model wants it; a hop belongs to its window and goes with it."""
    left = {name: wish for name, wish in WANTED.items() if getattr(options, name, 1) == 0}
    if getattr(options, "rotate", 0) in SIDEWAYS:
        left = {name: SWAPPED.get(wish, wish) for name, wish in left.items()}
    if getattr(options, "hop", 0) == 0 and "window" in left:
        left["hop"] = "hop"
    return msgspec.structs.replace(options, **{name: getattr(wanted, wish) for name, wish in left.items()})


class CaptureObserver(Protocol):
    """Receives the events of a source thread; any thread may call it."""

    def set_source(self, state: PipelineState, why: str) -> None:
        """Set the source's state; repeating it is cheap."""

    def report_fault(self, kind: str, why: str) -> None:
        """Report a fault that did not end the source."""


class Capture:
    """Body of a source thread; `run` ends when `stop` is set or a finite input is through."""

    def __init__(
        self,
        queue: PipelineQueue,
        clock: Clock,
        stop: Event,
        observer: CaptureObserver,
        exchange: CascadeExchange | None = None,
    ) -> None:
        """Prepare; nothing is opened before `run`.

        Args:
            queue: receives the frames.
            clock: stamps frames and paces them.
            stop: ends the thread.
            observer: receives the source's state.
            exchange: connects cascaded pipelines.
        """
        self._queue = queue
        self._clock = clock
        self._stop = stop
        self._observer = observer
        self._exchange = exchange or CascadeExchange()
        self._pause_s = FIRST_PAUSE_S
        self._wanted: Wanted | None = None
        self._opening = -1
        self._pacer: Pacer | None = None  # kept while a recording is looped, or a short one would ignore its pace

    def run(self) -> None:
        """Open, read and reopen the source until the end."""
        while not self._stop.is_set():
            options = self._settled()
            if options is None:
                self._observer.set_source("waiting", "its source waits for the model, which sets its size or rate")
                self._stop.wait(MODEL_S)
                continue
            try:
                self._opening += 1
                with closing(OpenedSource(options, self._clock, adjustment(self._queue.pipeline))) as source:
                    self._exchange.join(source.inner, self._queue.pipeline.name, self._queue.counters)
                    self._read_frames(source)
            except EndOfInput:
                if self._queue.pipeline.pace.at_end == "stop":
                    self._wait_until_inferred()  # the last frame must become a result first
                    self._observer.set_source("ended", "the input is through")
                    self._exchange.end(self._queue.pipeline.name)
                    return
            except SourceError as exc:
                self._pacer = None
                self._wait_after(exc)

    def _settled(self) -> settings.Source | None:
        """Return the source's options; None while they depend on a model that is not loaded."""
        options, self._wanted = self._queue.pipeline.source, self._queue.wanted
        if not leaves_to_model(options):
            return options
        return None if self._wanted is None else settle(options, self._wanted)

    def _read(self, source: OpenedSource) -> Frame:
        """Read a frame; `reading_since_ns` shows a stuck read."""
        self._queue.reading_since_ns = self._clock.monotonic_ns()
        try:
            return source.read(READ_S)
        finally:
            self._queue.reading_since_ns = 0

    def _outdated(self) -> bool:
        """Whether a new model wants another input."""
        if self._queue.wanted is self._wanted or not leaves_to_model(self._queue.pipeline.source):
            return False
        before, self._wanted = self._wanted, self._queue.wanted
        return before != self._wanted

    def _read_frames(self, source: OpenedSource) -> None:
        """Read frames until the source raises, `stop` is set, or a new model wants another input."""
        if self._pacer is None:
            self._pacer = Pacer(self._queue.pipeline.pace, live=source.live)
        received_ns = self._clock.monotonic_ns()
        given = 0
        while not self._stop.is_set() and not self._outdated():
            try:
                frame = self._read(source)
            except FrameError as exc:
                self._queue.counters.dropped("unreadable")
                self._observer.report_fault("unreadable_frame", str(exc))
            except FrameUnfinished as exc:
                received_ns = self._clock.monotonic_ns()
                if not given:
                    self._observer.set_source("waiting", str(exc))
            except SourceTimeout:
                self._check_silence(received_ns)
            except EndOfInput:
                if not given and not isinstance(self._queue.pipeline.source, settings.CropsSource):
                    raise SourceError(self._queue.pipeline.name, "its input holds no frame that can be read") from None
                raise
            else:
                given += 1
                received_ns = frame.taken_ns
                self._deliver(frame, self._pacer, source)

    def _deliver(self, frame: Frame, pacer: Pacer, source: OpenedSource) -> None:
        """Put the frame into the queue when it is due; a recorded frame is stamped then, not when it was read."""
        self._stop.wait(pacer.delay_ns(frame, self._clock.monotonic_ns()) / 1e9)
        if self._queue.pipeline.pace.mode == "fast" or frame.crop is not None:  # several crops come at once
            self._wait_until_taken()
        self._pause_s = FIRST_PAUSE_S
        self._observer.set_source("running", "")
        if not source.live:
            frame = replace(frame, taken_ns=self._clock.monotonic_ns(), taken_at=self._clock.wall_s())
        self._queue.put(replace(frame, opening=self._opening))

    def _wait_until_taken(self) -> None:
        """Wait until the loop has taken the last frame."""
        while not self._queue.frames.wait_empty(self._stop, READ_S) and not self._stop.is_set():
            pass

    def _wait_until_inferred(self) -> None:
        """Wait until the loop is done with the last frame."""
        self._wait_until_taken()
        while self._queue.inferring and not self._stop.is_set():
            self._stop.wait(0.02)

    def _check_silence(self, received_ns: int) -> None:
        silent_s = (self._clock.monotonic_ns() - received_ns) / 1e9
        if silent_s > SILENT_S:
            raise SourceError(self._queue.pipeline.name, f"its source has given nothing for {silent_s:.0f} s")
        self._observer.set_source("waiting", "its source gives nothing")

    def _wait_after(self, error: SourceError) -> None:
        """Pause before reopening: longer each time, with jitter."""
        self._queue.counters.source_restarted()
        pause_s = self._pause_s * random.uniform(0.5, 1.5)  # noqa: S311 - spreads reconnects, keeps no secret
        self._observer.set_source("waiting", f"{error}; opened again every {LONGEST_PAUSE_S:.0f} s at the latest")
        self._stop.wait(pause_s)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
