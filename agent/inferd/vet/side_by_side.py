"""The model under examination and the one that it is to replace: loaded in the vet child, run alone or in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import numpy as np

from inferd import ipc
from inferd.engine_choice import fitting_engine
from inferd.errors import InferdError
from inferd.pipeline import Steps, build_steps
from inferd.plugins import ENGINES, Engine, find
from inferd.records import Array, EngineInfo, Frame, Result
from inferd.store.lifecycle.variants import are_variants, version_of
from inferd.system.clock import Clock
from inferd.system.processes.process import cpu_ns, private_mb
from inferd.vet.cost_gate import TimingPair, slowdown
from inferd.vet.golden import probes, run
from inferd.wire.manifest import BudgetSection, ModelDescription

PAIRS = 15  # of invokes at least, to compare two models
PAIRS_S = 3.0  # and no more where those take so long
# A race in which a model looked too slow is run again for so long. On two busy cores, 5 of 40 equal models looked four times as
# slow in 5 ms, and 1 of 80 still in 0.1 s (tflite-runtime); in 1 s none of 324 (x86, November 2026).
SURE_S = 1.0
WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class ExaminedModel:
    """A model under examination.

    Attributes:
        description: what it is.
        root: what `describe` was given.
        path: what the runtime opens.
        by_cpu_version: whether that is the CPU version of a model that an accelerator is to run.
    """

    description: ModelDescription
    root: Path
    path: str
    by_cpu_version: bool = False

    @property
    def folder(self) -> Path:
        """Where the files that its manifest names are."""
        return self.root if self.root.is_dir() else self.root.parent

    @property
    def samples(self) -> Path | None:
        """Its golden samples; None if the manifest names none."""
        named = self.description.manifest.golden.samples
        return self.folder / named if named else None


@dataclass(frozen=True)
class LoadedModel:
    """A model that is loaded: its engine, its steps in a pipeline, and the memory that it took.

    Attributes:
        model: which.
        engine: the loaded model.
        private_mb: what loading and running it took.
    """

    model: ExaminedModel
    engine: Engine
    private_mb: float = 0.0

    @property
    def info(self) -> EngineInfo:
        """Its runtime and tensors."""
        return self.engine.info

    @cached_property
    def steps(self) -> Steps:
        """What a frame goes through in a pipeline.

        Raises:
            ModelError: the description lacks what the task needs, or contradicts the tensors.
        """
        return build_steps(self.model.description, self.engine, WHOLE_PICTURE)

    def answer(self, frame: Frame) -> tuple[list[Array], Result]:
        """Return copies of the outputs for one frame, and the result that a pipeline reads out of them.

        The frame follows none: what the model, the preprocessing or the task remember of earlier frames is forgotten. The outputs
        may hold NaN; the result then means nothing.

        Raises:
            SourceError: the model cannot be fed this frame.
            EngineError: the runtime refused.
            ModelError: the outputs cannot be read.
        """
        self.engine.reset()
        steps = build_steps(self.model.description, self.engine, WHOLE_PICTURE)
        geometry = self.engine.write(partial(steps.preprocess, frame))
        self.engine.invoke()
        outputs = self.engine.read(lambda views: [np.array(view) for view in views])
        return outputs, steps.task.decode(outputs, geometry)


@dataclass(slots=True)
class SideBySide:
    """One examination. Used once, by the vet child's only thread; its engines are closed with `held`."""

    subject: ExaminedModel
    against: ExaminedModel | None
    request: ipc.Examine
    clock: Clock
    held: ExitStack
    _candidate: LoadedModel | None = field(default=None, init=False)
    _rival: LoadedModel | None = field(default=None, init=False)

    @property
    def candidate(self) -> LoadedModel:
        """The model under examination; asked for only after `load_candidate`."""
        assert self._candidate is not None  # noqa: S101 - gates come in order
        return self._candidate

    @property
    def is_other_variant(self) -> bool:
        """Whether the model that serves now is another variant of it, which may cost less and be right less often."""
        if self.against is None:
            return False
        return are_variants(version_of(self.subject.description), version_of(self.against.description))

    @property
    def budget(self) -> BudgetSection:
        """What the model may cost: as the request says, else as its manifest does."""
        return self.request.budget or self.subject.description.manifest.budget

    def load_candidate(self, runs: int) -> LoadedModel:
        """Load the model under examination and run it `runs` times on zeros.

        Raises:
            EngineError: the runtime refuses it.
            MemoryError: it needs more than this process may take.
        """
        before_mb = private_mb()
        engine = self._load(self.subject)
        for _ in range(runs):
            run(engine, [np.zeros(spec.shape, spec.dtype) for spec in engine.info.inputs])
        self._candidate = LoadedModel(self.subject, engine, max(0.0, private_mb() - before_mb))
        return self._candidate

    def rival(self) -> LoadedModel | None:
        """Return the model that serves now, loaded once; None if there is none, or it does not load any more."""
        if self._rival is None and self.against is not None:
            try:
                self._rival = LoadedModel(self.against, self._load(self.against))
            except InferdError:
                self.against = None
        return self._rival

    def like_rival(self) -> LoadedModel | None:
        """Return the model that serves now if it takes the same tensors; None elsewhere."""
        rival = self.rival()
        return rival if rival is not None and same_inputs(rival.info, self.candidate.info) else None

    def fair_race(self, inputs: list[Array]) -> TimingPair:
        """Run both models in turns, and once more for longer where the new one looked too slow."""
        race = self.race(inputs)
        looks_slow = race.theirs_ms and slowdown(race.mine_ms, race.theirs_ms) > self.request.slower_max
        return self.race(inputs, SURE_S) if looks_slow else race

    def race(self, inputs: list[Array], least_s: float = 0.0) -> TimingPair:
        """Run both models in turns, for `least_s` at least."""
        mine, theirs, cpu_ms = list[float](), list[float](), list[float]()
        rival = self.rival()
        theirs_in = None if rival is None else next(probes(rival.info))
        began_ns = self.clock.monotonic_ns()
        while (took_s := (self.clock.monotonic_ns() - began_ns) / 1e9) < least_s or (
            len(mine) < PAIRS and took_s < PAIRS_S
        ):
            cpu_before_ms = cpu_ns() / 1e6
            mine.append(self._timed(self.candidate.engine, inputs))
            cpu_ms.append(cpu_ns() / 1e6 - cpu_before_ms)
            if rival is not None and theirs_in is not None:
                theirs.append(self._timed(rival.engine, theirs_in))
        return TimingPair(mine, theirs, statistics.median(cpu_ms))

    def _timed(self, engine: Engine, inputs: list[Array]) -> float:
        began_ns = self.clock.monotonic_ns()
        run(engine, inputs)
        return (self.clock.monotonic_ns() - began_ns) / 1e6

    def _load(self, model: ExaminedModel) -> Engine:
        """Load a model; it is closed with `held`.

        Raises:
            InferdError: it does not load.
        """
        fitting = fitting_engine(model.description, self.request.engine)
        make: Callable[..., Engine] = partial(find("engine", ENGINES, fitting.kind), model.path, fitting, self.clock)
        return self.held.enter_context(closing(make(model.description.ref.name)))


def same_inputs(one: EngineInfo, other: EngineInfo) -> bool:
    """Whether two models take the same tensors, so that one's samples say something of the other."""
    return [(spec.name, spec.shape, spec.dtype) for spec in one.inputs] == [
        (spec.name, spec.shape, spec.dtype) for spec in other.inputs
    ]
