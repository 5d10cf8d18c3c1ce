"""One pipeline of an engine thread: its queue, its source thread and its sample writer."""

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
from inferd.worker.outbound import Outbound, StatusReporter
from inferd.worker.samples import SampleWriter


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """Dependencies of all parts of the worker."""

    clock: Clock
    outbound: Outbound
    exchange: CascadeExchange = field(default_factory=CascadeExchange)
    available_bytes: Callable[[], int] = available_bytes


class PipelineThreads:
    """Owned by the worker's main thread."""

    def __init__(self, pipeline: settings.Pipeline, changed: Condition, context: WorkerContext) -> None:
        """Start its threads.

        Args:
            pipeline: its configuration.
            changed: the engine thread's, notified of every frame.
            context: dependencies.
        """
        self.queue = PipelineQueue(pipeline, changed)
        self.status = StatusReporter(pipeline.name, context.outbound)
        self._stop = Event()
        capture = Capture(self.queue, context.clock, self._stop, self.status, context.exchange)
        self.threads = [start(f"source {pipeline.name}", capture.run)]
        if pipeline.samples.keep_mb:
            keeper = SampleWriter(pipeline, self.queue.picked, self._stop)
            self.threads.append(start(f"samples {pipeline.name}", keeper.run))

    def ask_to_stop(self) -> None:
        """Ask the threads to end."""
        self._stop.set()
