"""The source thread of one pipeline: keeps its source open, paces it, and leaves its newest frame in the lane."""

from __future__ import annotations

import random
from contextlib import closing
from dataclasses import replace
from typing import Protocol

import msgspec

from inferd.config import settings
from inferd.config.settings import kind_of
from inferd.errors import EndOfInput, FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.pipeline import PipelineQueue
from inferd.plugins import SOURCES, Source, find
from inferd.records import Frame, PipelineState, Wanted
from inferd.sources.pacing import Pacer
from inferd.system.clock import Clock
from inferd.system.threads import Event
from inferd.worker.cascade import CascadeExchange

READ_S = 1.0  # how long a read may wait before it is asked whether to stop
SILENT_S = 10.0  # a live source that gives nothing for so long is opened anew
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
MODEL_S = 0.1  # how often a source that waits for its model looks whether it is there
WANTED = {"width": "width", "height": "height", "rate_hz": "rate_hz", "to_hz": "rate_hz", "window": "window"}
"""Options whose 0 is the model's to fill in, and what of its wishes that is."""


def open_source(options: settings.Source, clock: Clock) -> Source:
    """Open the source that a `[pipeline.source]` table describes.

    Raises:
        SourceError: it cannot be opened.
    """
    make = find("source", SOURCES, kind_of(options))
    try:
        source: Source = make(options, clock)
    except OSError as exc:  # a folder that may not be entered, a name that is too long
        raise SourceError(getattr(options, "path", kind_of(options)), f"cannot be opened ({exc.strerror})") from exc
    return source


def leaves_to_model(options: settings.Source) -> bool:
    """Whether a source's options have a 0 where it means "as the model wants"."""
    return any(getattr(options, name, 1) == 0 for name in WANTED)


def settle(options: settings.Source, wanted: Wanted) -> settings.Source:
    """Return the options with what is 0 as the model wants it; a hop belongs to its window and goes with it."""
    left = {name: wish for name, wish in WANTED.items() if getattr(options, name, 1) == 0}
    if getattr(options, "hop", 0) == 0 and "window" in left:
        left["hop"] = "hop"
    return msgspec.structs.replace(options, **{name: getattr(wanted, wish) for name, wish in left.items()})


class CaptureObserver(Protocol):
    """How a source thread is heard; any thread may call it."""

    def source(self, state: PipelineState, why: str) -> None:
        """Take the source's state; saying the same again is cheap."""

    def fault(self, kind: str, why: str) -> None:
        """Take something that went wrong and did not end the source."""


class Capture:
    """Body of a source thread; `run` ends when `stop` is set or a finite input is through."""

    def __init__(
        self,
        lane: PipelineQueue,
        clock: Clock,
        stop: Event,
        voice: CaptureObserver,
        exchange: CascadeExchange | None = None,
    ) -> None:
        """Prepare; nothing is opened before `run`.

        Args:
            lane: where frames go.
            clock: stamps frames and paces them.
            stop: ends the thread.
            voice: hears the source's state.
            exchange: where sources that follow another pipeline join it, and hear that it ended.
        """
        self._lane = lane
        self._clock = clock
        self._stop = stop
        self._voice = voice
        self._exchange = exchange or CascadeExchange()
        self._pause_s = FIRST_PAUSE_S
        self._wanted: Wanted | None = None

    def run(self) -> None:
        """Open, read, and open again what failed, until the end."""
        while not self._stop.is_set():
            options = self._settled()
            if options is None:
                self._voice.source("waiting", "its source waits to hear from its model what to give")
                self._stop.wait(MODEL_S)
                continue
            try:
                with closing(open_source(options, self._clock)) as source:
                    self._exchange.join(source, self._lane.pipeline.name, self._lane.counters)
                    self._pump(source)
            except EndOfInput:
                if self._lane.pipeline.pace.at_end == "stop":
                    self._await_inferred()  # the end is only told when the last frame has become a result
                    self._voice.source("ended", "the input is through")
                    self._exchange.end(self._lane.pipeline.name)
                    return
            except SourceError as exc:
                self._wait_after(exc)

    def _settled(self) -> settings.Source | None:
        """Return the source's options, None where they wait for a model that is not there yet."""
        options, self._wanted = self._lane.pipeline.source, self._lane.wanted
        if not leaves_to_model(options):
            return options
        return None if self._wanted is None else settle(options, self._wanted)

    def _read(self, source: Source) -> Frame:
        """Read a frame, and show meanwhile since when."""
        self._lane.reading_since_ns = self._clock.monotonic_ns()
        try:
            return source.read(READ_S)
        except OSError as exc:
            raise SourceError(self._lane.pipeline.name, f"its source cannot be read ({exc})") from exc
        finally:
            self._lane.reading_since_ns = 0

    def _outdated(self) -> bool:
        """Whether another model has come that wants another thing of its source."""
        if self._lane.wanted is self._wanted or not leaves_to_model(self._lane.pipeline.source):
            return False
        before, self._wanted = self._wanted, self._lane.wanted
        return before != self._wanted

    def _pump(self, source: Source) -> None:
        """Bring frames until the source ends or fails, which it tells by an exception, or a model wants another one."""
        pacer = Pacer(self._lane.pipeline.pace, live=source.live)
        heard_ns = self._clock.monotonic_ns()
        given = 0
        while not self._stop.is_set() and not self._outdated():
            try:
                frame = self._read(source)
            except FrameError as exc:
                self._lane.counters.dropped("unreadable")
                self._voice.fault("unreadable_frame", str(exc))
            except FrameUnfinished as exc:
                heard_ns = self._clock.monotonic_ns()
                if not given:
                    self._voice.source("waiting", str(exc))
            except SourceTimeout:
                self._mind_silence(heard_ns)
            except EndOfInput:
                if not given and not isinstance(self._lane.pipeline.source, settings.CropsSource):
                    raise SourceError(self._lane.pipeline.name, "its input holds no frame that can be read") from None
                raise
            else:
                given += 1
                heard_ns = frame.taken_ns
                self._hand_over(frame, pacer, source)

    def _hand_over(self, frame: Frame, pacer: Pacer, source: Source) -> None:
        """Put the frame into the lane when it is due; one that had to wait for that was taken then, not when read."""
        self._stop.wait(pacer.delay_ns(frame, self._clock.monotonic_ns()) / 1e9)
        if self._lane.pipeline.pace.mode == "fast" or frame.crop is not None:  # several crops come at once
            self._await_taken()
        self._pause_s = FIRST_PAUSE_S
        self._voice.source("running", "")
        if not source.live:
            frame = replace(frame, taken_ns=self._clock.monotonic_ns(), taken_at=self._clock.wall_s())
        self._lane.put(frame)

    def _await_taken(self) -> None:
        """Wait until the loop has taken the frame before."""
        while not self._lane.frames.wait_empty(self._stop, READ_S) and not self._stop.is_set():
            pass

    def _await_inferred(self) -> None:
        """Wait until the loop has done with the frame before."""
        self._await_taken()
        while self._lane.inferring and not self._stop.is_set():
            self._stop.wait(0.02)

    def _mind_silence(self, heard_ns: int) -> None:
        silent_s = (self._clock.monotonic_ns() - heard_ns) / 1e9
        if silent_s > SILENT_S:
            raise SourceError(self._lane.pipeline.name, f"its source has given nothing for {silent_s:.0f} s")
        self._voice.source("waiting", "its source gives nothing")

    def _wait_after(self, error: SourceError) -> None:
        """Pause before the next opening: longer each time, and never in step with other devices."""
        self._lane.counters.source_restarted()
        pause_s = self._pause_s * random.uniform(0.5, 1.5)  # noqa: S311 - spreads reconnects, keeps no secret
        self._voice.source("waiting", f"{error}; opened again every {LONGEST_PAUSE_S:.0f} s at the latest")
        self._stop.wait(pause_s)
        self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
