"""Where a model is tried beside the one that it is to replace: both loaded in the vet child, run alone or in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from inferd import ipc
from inferd.engine_choice import fitting_engine
from inferd.errors import InferdError
from inferd.plugins import ENGINES, Engine, find
from inferd.records import Array, EngineInfo
from inferd.store.lifecycle.variants import are_variants, version_of
from inferd.system.clock import Clock
from inferd.system.processes.process import cpu_ns
from inferd.vet.cost import TimingPair, slowdown
from inferd.vet.golden import Golden, probes, read_golden, run
from inferd.wire.manifest import BudgetSection, ModelDescription

PAIRS = 15  # of invokes at least, to compare two models
PAIRS_S = 3.0  # and no more where those take so long
# A race in which a model looked too slow is run again for so long. On two busy cores, 5 of 40 twins looked four times as
# slow in 5 ms, and 1 of 80 still in 0.1 s (tflite-runtime); in 1 s none of 324 (x86, November 2026).
SURE_S = 1.0


@dataclass(frozen=True, slots=True)
class ExaminedModel:
    """A model under examination.

    Attributes:
        description: what it is.
        root: what `describe` was given.
        path: what the runtime opens.
        by_twin: whether that is the CPU twin of a model that an accelerator is to run.
    """

    description: ModelDescription
    root: Path
    path: str
    by_twin: bool = False

    @property
    def samples(self) -> Path | None:
        """Where its golden samples are; None where it names none."""
        named = self.description.manifest.golden.samples
        folder = self.root if self.root.is_dir() else self.root.parent
        return folder / named if named else None


@dataclass(slots=True)
class LoadedModel:
    """A model that is loaded, and what is known of how it runs."""

    engine: Engine
    info: EngineInfo
    private_mb: float
    golden: Golden | None = None


@dataclass(slots=True)
class SideBySide:
    """One examination. Used once, by the vet child's only thread; its engines are closed with `held`."""

    subject: ExaminedModel
    against: ExaminedModel | None
    request: ipc.Examine
    clock: Clock
    held: ExitStack
    loaded: LoadedModel | None = None
    rival: LoadedModel | None = None
    verified: bool = False

    @property
    def info(self) -> EngineInfo:
        """How the model ran; asked for only after it was loaded."""
        return self.running.info

    @property
    def engine(self) -> Engine:
        """The loaded model."""
        return self.running.engine

    @property
    def is_other_variant(self) -> bool:
        """Whether the model that serves now is another variant of it, which may cost less and be right less often."""
        if self.against is None:
            return False
        return are_variants(version_of(self.subject.description), version_of(self.against.description))

    @property
    def budget(self) -> BudgetSection:
        """What the model may cost: as asked for, else as its manifest says."""
        return self.request.budget or self.subject.description.manifest.budget

    @property
    def running(self) -> LoadedModel:
        """The model under examination, once it is loaded."""
        assert self.loaded is not None  # noqa: S101 - gates come in order
        return self.loaded

    def load_rival(self) -> None:
        """Load the model that serves now, once; where that fails there is nothing to compare with."""
        if self.rival is not None or self.against is None:
            return
        try:
            engine = load(self.against, self.request, self.clock, self.held)
            self.rival = LoadedModel(engine, engine.info, 0.0)
            if self.against.samples is not None:
                self.rival.golden = read_golden(self.against.samples, engine.info)
        except InferdError:
            self.against = None

    def fair_race(self, inputs: list[Array]) -> TimingPair:
        """Run both models in turns, and once more for longer where the new one looked too slow."""
        race = self.race(inputs)
        looks_slow = race.theirs_ms and slowdown(race.mine_ms, race.theirs_ms) > self.request.slower_max
        return self.race(inputs, SURE_S) if looks_slow else race

    def race(self, inputs: list[Array], least_s: float = 0.0) -> TimingPair:
        """Run both models in turns, for `least_s` at least."""
        mine, theirs, cpu_ms = list[float](), list[float](), list[float]()
        rival = self.rival
        theirs_in = None if rival is None else next(probes(rival.info))
        began_ns = self.clock.monotonic_ns()
        while (took_s := (self.clock.monotonic_ns() - began_ns) / 1e9) < least_s or (
            len(mine) < PAIRS and took_s < PAIRS_S
        ):
            cpu_before_ms = cpu_ns() / 1e6
            mine.append(self._timed(self.running.engine, inputs))
            cpu_ms.append(cpu_ns() / 1e6 - cpu_before_ms)
            if rival is not None and theirs_in is not None:
                theirs.append(self._timed(rival.engine, theirs_in))
        return TimingPair(mine, theirs, statistics.median(cpu_ms))

    def _timed(self, engine: Engine, inputs: list[Array]) -> float:
        began_ns = self.clock.monotonic_ns()
        run(engine, inputs)
        return (self.clock.monotonic_ns() - began_ns) / 1e6


def load(subject: ExaminedModel, request: ipc.Examine, clock: Clock, held: ExitStack) -> Engine:
    """Load a model; it is closed with `held`.

    Raises:
        InferdError: it does not load.
    """
    fitting = fitting_engine(subject.description, request.engine)
    make: Callable[..., Engine] = partial(find("engine", ENGINES, fitting.kind), subject.path, fitting, clock)
    return held.enter_context(closing(make(subject.description.ref.name)))


def same_inputs(one: EngineInfo, other: EngineInfo) -> bool:
    """Whether two models take the same tensors, so that one's samples say something of the other."""
    return [(spec.name, spec.shape, spec.dtype) for spec in one.inputs] == [
        (spec.name, spec.shape, spec.dtype) for spec in other.inputs
    ]
