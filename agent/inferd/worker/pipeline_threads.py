"""One pipeline of a group: its lane, and the threads of its source and of what it keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from inferd.config import settings
from inferd.pipeline import PipelineQueue
from inferd.system.clock import Clock
from inferd.system.memory import available_bytes
from inferd.system.threads import Condition, Event, start
from inferd.worker.capture import Capture
from inferd.worker.cascade import CascadeExchange
from inferd.worker.outbound import Outbound, PipelineOutbound
from inferd.worker.samples import SampleWriter


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What every room of the worker is given."""

    clock: Clock
    teller: Outbound
    exchange: CascadeExchange = field(default_factory=CascadeExchange)
    available_bytes: Callable[[], int] = available_bytes


class PipelineThreads:
    """Owned by the worker's main thread."""

    def __init__(self, pipeline: settings.Pipeline, changed: Condition, context: WorkerContext) -> None:
        """Start its threads; its frames wait until somebody takes them.

        Args:
            pipeline: whose they are.
            changed: the group's, notified of every frame.
            context: what every room of the worker is given.
        """
        self.lane = PipelineQueue(pipeline, changed)
        self.voice = PipelineOutbound(pipeline.name, context.teller)
        self._stop = Event()
        capture = Capture(self.lane, context.clock, self._stop, self.voice, context.exchange)
        self.threads = [start(f"source {pipeline.name}", capture.run)]
        if pipeline.samples.keep_mb:
            keeper = SampleWriter(pipeline, self.lane.picked, self._stop)
            self.threads.append(start(f"samples {pipeline.name}", keeper.run))

    def ask_to_stop(self) -> None:
        """Tell the threads to end."""
        self._stop.set()
