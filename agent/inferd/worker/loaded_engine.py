"""A loaded model with the steps of every pipeline that it serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferd.pipeline import PipelineQueue, Steps
from inferd.plugins import Engine
from inferd.records import ModelRef
from inferd.system.processes.heartbeats import Busy, HeartbeatSlot


class MarkedEngine:
    """Marks an engine's invokes in the shared page, so that a crash or hang inside is attributed to it."""

    def __init__(self, engine: Engine, slot: HeartbeatSlot) -> None:
        self.info = engine.info
        self.write = engine.write
        self.read = engine.read
        self.reset = engine.reset
        self.close = engine.close
        self._invoke = engine.invoke
        self._begin = slot.begin

    def invoke(self) -> None:
        """Run the model once, marked.

        Raises:
            EngineError: the runtime refused.
        """
        self._begin(Busy.ENGINE)
        self._invoke()
        self._begin(Busy.IDLE)


@dataclass(frozen=True, slots=True)
class LoadedEngine:
    """A loaded and warmed model with the steps of every pipeline; `engine` is the first of its copies."""

    ref: ModelRef
    engine: Engine
    steps: Mapping[str, Steps]
    standby: LoadedEngine | None = None  # the warm CPU fallback of an engine on an accelerator
    degraded: str = ""  # why it serves in place of another
    queues: Mapping[str, PipelineQueue] = field(
        default_factory=dict
    )  # the queues these steps were built for; {} for any

    def serves(self, queue: PipelineQueue) -> bool:
        """Whether there are steps for a queue; a newer queue waits for the next offer."""
        name = queue.pipeline.name
        return name in self.steps and self.queues.get(name, queue) is queue

    @property
    def own(self) -> tuple[Engine, ...]:
        """Its engines: one for all pipelines, or one each where it keeps state."""
        return tuple(dict.fromkeys(steps.engine for steps in self.steps.values()))

    @property
    def engines(self) -> tuple[Engine, ...]:
        """All engines loaded for it, the CPU fallback's included."""
        return (*self.own, *(self.standby.engines if self.standby else ()))
