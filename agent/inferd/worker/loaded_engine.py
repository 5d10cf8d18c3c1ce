"""What a loop turns: a loaded model, marked while it is at work, with the steps of every pipeline that it serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from inferd.pipeline import PipelineQueue, Steps
from inferd.plugins import Engine
from inferd.records import ModelRef
from inferd.system.processes.heartbeats import Busy, HeartbeatSlot


class MarkedEngine:
    """An engine that shows in the shared page when it is at work, so that a death or a hang in there is known for its own."""

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
    """A loaded and warmed model with the steps of every pipeline that it serves; `engine` speaks for all that run it."""

    ref: ModelRef
    engine: Engine
    steps: Mapping[str, Steps]
    standby: LoadedEngine | None = None  # the warm CPU twin of an engine on an accelerator
    degraded: str = ""  # why it serves in place of another
    lanes: Mapping[str, PipelineQueue] = field(
        default_factory=dict
    )  # whose steps these are; {} for whichever lanes there are

    def serves(self, lane: PipelineQueue) -> bool:
        """Whether there are steps for a lane: one that came later waits for the next offer."""
        name = lane.pipeline.name
        return name in self.steps and self.lanes.get(name, lane) is lane

    @property
    def own(self) -> tuple[Engine, ...]:
        """The engines that run it: one for all pipelines, or one for each where it remembers what it was shown."""
        return tuple(dict.fromkeys(steps.engine for steps in self.steps.values()))

    @property
    def engines(self) -> tuple[Engine, ...]:
        """All engines that are held for it."""
        return (*self.own, *(self.standby.engines if self.standby else ()))
