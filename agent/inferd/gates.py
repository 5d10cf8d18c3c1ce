"""The five gates a model passes before it may serve. Runs in the vet child, gate by gate, and stops at the first failure.

A gate that cannot be judged says so and why; only a failure refuses. What each of them looks for stands in
docs/models.md.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from inferd import ipc
from inferd.arrays import dequantize
from inferd.contract import breach
from inferd.errors import EngineError, InferdError, ModelError
from inferd.fitting import EDGETPU_OP, fitting_engine
from inferd.golden import Golden, finite, largest_excess, probes, read_golden, run, same
from inferd.parts import ENGINES, Engine, find
from inferd.pipeline import build_steps
from inferd.records import Array, EngineInfo
from inferd.store.bundle import find_bundle
from inferd.store.octets import ModelFile
from inferd.store.preflight import hazards
from inferd.system.clock import Clock
from inferd.system.processes import private_mb
from inferd.wire.manifest import BudgetSection, ModelDescription
from inferd.wire.vetting import Finding, Gate, GateName

WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)
RUNS = 3  # the first after warm-up may still build caches; corrupted memory often shows only later
QUICK_RUNS = 2  # of a model that was vetted before
PAIRS = 15  # of invokes, to compare two models
PAIRS_S = 3.0
REGRESSION = 0.02  # accuracy on the same samples may be lower by so much
OLD_RUNTIME = "tflite-runtime"


@dataclass(frozen=True, slots=True)
class Subject:
    """A model under examination.

    Attributes:
        description: what it is.
        root: what `describe` was given.
        path: what the runtime opens.
    """

    description: ModelDescription
    root: Path
    path: str

    @property
    def samples(self) -> Path | None:
        """Where its golden samples are; None where it names none."""
        named = self.description.manifest.golden.samples
        folder = self.root if self.root.is_dir() else self.root.parent
        return folder / named if named else None


@dataclass(slots=True)
class Loaded:
    """A model that is loaded, and what is known of how it runs."""

    engine: Engine
    info: EngineInfo
    private_mb: float
    golden: Golden | None = None


@dataclass(slots=True)
class Gates:
    """One examination. Used once, by the vet child's only thread; closes its engines when `held` is closed."""

    subject: Subject
    against: Subject | None
    request: ipc.Examine
    clock: Clock
    held: ExitStack
    loaded: Loaded | None = None
    rival: Loaded | None = None
    verified: bool = False
    _steps: dict[GateName, Callable[[], Gate]] = field(init=False)

    def __post_init__(self) -> None:
        self._steps = {
            "integrity": self.integrity,
            "loads": self.loads,
            "contract": self.contract,
            "behaviour": self.behaviour,
            "cost": self.cost,
        }

    def __iter__(self) -> Iterator[Gate]:
        """Try gate by gate, up to the first that fails."""
        for name, judge in self._steps.items():
            try:
                gate = judge()
            except ModelError as exc:
                gate = failed(name, "bad_samples", f"{exc.part} {exc.message}")
            except InferdError as exc:
                gate = failed(name, "run_failed", exc.message)
            yield gate
            if gate.finding == "fail":
                return

    @property
    def info(self) -> EngineInfo:
        """How the model ran; asked for only after it was loaded."""
        return self._running.info

    @property
    def engine(self) -> Engine:
        """The loaded model."""
        return self._running.engine

    @property
    def budget(self) -> BudgetSection:
        """What the model may cost: as asked for, else as its manifest says."""
        return self.request.budget or self.subject.description.manifest.budget

    @property
    def _running(self) -> Loaded:
        assert self.loaded is not None  # noqa: S101 - gates come in order
        return self.loaded

    def integrity(self) -> Gate:
        """Is what arrived what was sent?"""
        said = self.subject.description.manifest.model.sha256
        if said is None:
            return not_judged("integrity", "its manifest tells no sha256")
        with ModelFile(find_bundle(self.subject.root).model) as file:
            found = file.sha256()
        if found != said.lower():
            return failed(
                "integrity",
                "digest_mismatch",
                f"its SHA-256 is {found[:12]}…, its manifest says {said[:12]}…; copy it again",
            )
        self.verified = True
        return passed("integrity")

    def loads(self) -> Gate:
        """Does the runtime take it, and run it more than once?"""
        if refusal := self._known_refusal():
            return refusal
        before_mb = private_mb()
        try:
            engine = load(self.subject, self.request, self.clock, self.held)
            for _ in range(RUNS if self.request.gates else QUICK_RUNS):
                run(engine, [np.zeros(spec.shape, spec.dtype) for spec in engine.info.inputs])
        except EngineError as exc:
            return failed("loads", self._load_code(), exc.message)
        except MemoryError:
            return failed("loads", "memory", "it needs more memory than it may take; see vet_memory_mb under [models]")
        self.loaded = Loaded(engine, engine.info, max(0.0, private_mb() - before_mb))
        return passed("loads", load_ms=engine.info.load_ms, warmup_ms=engine.info.warmup_ms)

    def contract(self) -> Gate:
        """Do its tensors fit its task and labels, and does it keep what the model it replaces promised?"""
        description = self.subject.description
        if description.missing:
            return failed("contract", "incomplete", "; ".join(description.missing))
        try:
            build_steps(description, self._running.engine, WHOLE_PICTURE)
        except ModelError as exc:
            return failed("contract", "task_mismatch", exc.message)
        if self.against is not None and (broken := breach(description, self.against.description)):
            return failed("contract", broken.code, broken.why)
        return passed("contract")

    def behaviour(self) -> Gate:
        """Does it answer as it should?"""
        running = self._running
        running.golden = self._golden()
        if running.golden is None:
            return self._unverified()
        outputs = [
            run(running.engine, running.golden.sample(index, running.info)) for index in range(running.golden.count)
        ]
        again = run(running.engine, running.golden.sample(0, running.info))
        if not all(map(finite, outputs)):
            return failed("behaviour", "nonfinite_output", "its outputs hold NaN or infinity on its golden samples")
        if not same(again, outputs[0]) and not _stateful(self.subject.description):
            return failed("behaviour", "not_repeatable", "the same sample gives another answer the second time")
        return (
            self._constant(running.golden, outputs)
            or self._mismatch(running.golden, outputs)
            or self._accuracy(outputs)
        )

    def cost(self) -> Gate:
        """Does it fit this device?"""
        running, budget = self._running, self.budget
        figures = {"private_mb": round(running.private_mb, 1)}
        if budget.rss_mb is not None and running.private_mb > budget.rss_mb:
            why = f"it takes {running.private_mb:.0f} MB, its budget is {budget.rss_mb:g} MB"
            return failed("cost", "memory_over_budget", why, **figures)
        self._load_rival()
        inputs = next(probes(running.info)) if running.golden is None else running.golden.sample(0, running.info)
        mine, theirs = self._race(inputs)
        figures |= {"invoke_ms": round(statistics.median(mine), 3), "invoke_min_ms": round(min(mine), 3)}
        if budget.latency_p95_ms is not None and min(mine) > budget.latency_p95_ms:
            why = f"its fastest invoke took {min(mine):.1f} ms, its budget is {budget.latency_p95_ms:g} ms"
            return failed("cost", "over_budget", why, **figures)
        if not theirs:
            return not_judged(
                "cost", "there is no model to compare it with; its budget is judged in the trial", **figures
            )
        ratio = statistics.median(mine) / statistics.median(theirs)
        figures |= {"against_ms": round(statistics.median(theirs), 3), "ratio": round(ratio, 3)}
        if ratio > self.request.slower_max and budget.latency_p95_ms is None:
            why = (
                f"it takes {ratio:.1f} times as long as the model it replaces; {self.request.slower_max:g} are allowed"
            )
            return failed("cost", "slower", f"{why}, or say a latency_p95_ms under [budget]", **figures)
        return passed("cost", **figures)

    def _known_refusal(self) -> Gate | None:
        """Return what is known to fail without trying."""
        description = self.subject.description
        if self.request.engine.kind != "litert" or description.facts.format != "tflite":
            return None
        runtime = _installed_runtime()
        if (needed := description.manifest.model.min_runtime) and _too_old(runtime, needed):
            return failed(
                "loads", "runtime_too_old", f"it needs runtime {needed}, this is {' '.join(runtime)}; upgrade it"
            )
        if runtime[0] == OLD_RUNTIME and (found := hazards(find_bundle(self.subject.root).model)):
            why = f"has {' and '.join(found)}, which {' '.join(runtime)} computes wrongly; install ai-edge-litert"
            return failed("loads", "wrong_on_this_runtime", why)
        return None

    def _load_code(self) -> str:
        facts = self.subject.description.facts
        if EDGETPU_OP in facts.custom_ops:
            return "wrong_accelerator"
        return "custom_op" if set(facts.custom_ops) - {"TFLite_Detection_PostProcess"} else "load_failed"

    def _golden(self) -> Golden | None:
        """Return its golden samples; those of the model it replaces, if only their classes, where it has none."""
        running = self._running
        if self.subject.samples is not None:
            return read_golden(self.subject.samples, running.info)
        self._load_rival()
        rival = self.rival
        if (
            rival is None
            or rival.golden is None
            or rival.golden.labels is None
            or not _same_inputs(rival.info, running.info)
        ):
            return None
        return Golden(rival.golden.inputs, {}, rival.golden.labels, rival.golden.count)

    def _unverified(self) -> Gate:
        """Judge what can be judged of a model without samples."""
        engine, info = self._running.engine, self._running.info
        inputs = list(probes(info))
        outputs = [run(engine, given) for given in inputs]
        if not all(map(finite, outputs)):
            return failed("behaviour", "nonfinite_output", "its outputs hold NaN or infinity")
        if not same(run(engine, inputs[-1]), outputs[-1]) and not _stateful(self.subject.description):
            return failed("behaviour", "not_repeatable", "the same input gives another answer the second time")
        if _all_same(outputs) and self._rival_varies(inputs):
            return failed("behaviour", "constant_output", "it answers the same whatever it is shown")
        return not_judged("behaviour", "it comes without golden samples: unverified")

    def _rival_varies(self, inputs: list[list[Array]]) -> bool:
        """Whether the model it replaces answers these inputs in different ways."""
        self._load_rival()
        if self.rival is None or not _same_inputs(self.rival.info, self._running.info):
            return False
        return not _all_same([run(self.rival.engine, given) for given in inputs])

    def _constant(self, golden: Golden, outputs: list[list[Array]]) -> Gate | None:
        varied = any(
            not same([array[0]], [array[index]]) for array in golden.outputs.values() for index in range(golden.count)
        )
        varied = varied or (golden.labels is not None and len(np.unique(golden.labels)) > 1)
        if varied and _all_same(outputs):
            return failed("behaviour", "constant_output", "it answers the same whatever it is shown")
        return None

    def _mismatch(self, golden: Golden, outputs: list[list[Array]]) -> Gate | None:
        tolerance, info = self.subject.description.manifest.golden.tolerance, self._running.info
        worst, allowed, at = 0.0, 1.0, 0
        for index, output in enumerate(outputs):
            difference, may = largest_excess(output, golden.outputs, index, info, tolerance)
            if difference / max(may, 1e-9) > worst / max(allowed, 1e-9):
                worst, allowed, at = difference, may, index
        if not worst <= allowed:
            why = f"sample {at} differs by {worst:.3g} from its golden output; {allowed:.3g} is allowed"
            return failed("behaviour", "golden_mismatch", why, difference=worst, tolerance=allowed)
        self.verified = self.verified or bool(golden.outputs)
        return None

    def _accuracy(self, outputs: list[list[Array]]) -> Gate:
        golden = self._running.golden
        assert golden is not None  # noqa: S101 - behaviour has read it
        figures = {"samples": float(golden.count)}
        if golden.labels is None or self.subject.description.manifest.model.task != "classify":
            return passed("behaviour", **figures)
        figures["accuracy"] = mine = accuracy(outputs, golden.labels, self.subject.description, self._running.info)
        wanted = self.budget.accuracy
        if wanted is not None and mine < wanted:
            return failed(
                "behaviour",
                "accuracy_under_budget",
                f"it is right in {mine:.1%}, its budget is {wanted:.1%}",
                **figures,
            )
        theirs = self._rival_accuracy(golden)
        if theirs is not None:
            figures["against_accuracy"] = theirs
            if mine < theirs - max(REGRESSION, 1.5 / golden.count):
                why = f"it is right in {mine:.1%} of the samples, the model it replaces in {theirs:.1%}"
                return failed("behaviour", "accuracy_regressed", why, **figures)
        return passed("behaviour", **figures)

    def _rival_accuracy(self, golden: Golden) -> float | None:
        self._load_rival()
        if self.rival is None or self.against is None or not _same_inputs(self.rival.info, self._running.info):
            return None
        rival, info = self.rival, self.rival.info
        outputs = [run(rival.engine, golden.sample(index, self._running.info)) for index in range(golden.count)]
        assert golden.labels is not None  # noqa: S101 - asked only where there are
        return accuracy(outputs, golden.labels, self.against.description, info)

    def _load_rival(self) -> None:
        """Load the model that serves now, once; where that fails there is nothing to compare with."""
        if self.rival is not None or self.against is None:
            return
        try:
            engine = load(self.against, self.request, self.clock, self.held)
            self.rival = Loaded(engine, engine.info, 0.0)
            if self.against.samples is not None:
                self.rival.golden = read_golden(self.against.samples, engine.info)
        except InferdError:
            self.against = None

    def _race(self, inputs: list[Array]) -> tuple[list[float], list[float]]:
        """Run both models in turns; return what each invoke took, milliseconds."""
        mine, theirs = list[float](), list[float]()
        rival = self.rival
        theirs_in = None if rival is None else next(probes(rival.info))
        ends_ns = self.clock.monotonic_ns() + int(PAIRS_S * 1e9)
        for _ in range(PAIRS):
            mine.append(self._timed(self._running.engine, inputs))
            if rival is not None and theirs_in is not None:
                theirs.append(self._timed(rival.engine, theirs_in))
            if self.clock.monotonic_ns() > ends_ns:
                break
        return mine, theirs

    def _timed(self, engine: Engine, inputs: list[Array]) -> float:
        began_ns = self.clock.monotonic_ns()
        run(engine, inputs)
        return (self.clock.monotonic_ns() - began_ns) / 1e6


def load(subject: Subject, request: ipc.Examine, clock: Clock, held: ExitStack) -> Engine:
    """Load a model; it is closed with `held`.

    Raises:
        InferdError: it does not load.
    """
    fitting = fitting_engine(subject.description, request.engine)
    make: Callable[..., Engine] = partial(find("engine", ENGINES, fitting.kind), subject.path, fitting, clock)
    return held.enter_context(closing(make(subject.description.ref.name)))


def accuracy(outputs: list[list[Array]], labels: Array, description: ModelDescription, info: EngineInfo) -> float:
    """Return the share of samples (0..1) whose strongest output is the true class."""
    offset = description.manifest.output.label_offset or 0
    guesses = [int(np.argmax(dequantize(output[0].reshape(-1), info.outputs[0]))) + offset for output in outputs]
    return float(np.mean(np.asarray(guesses) == labels))


def passed(gate: GateName, **figures: float) -> Gate:
    """Return that a gate was passed."""
    return Gate(gate, "pass", figures=figures)


def failed(gate: GateName, code: str, why: str, **figures: float) -> Gate:
    """Return that a gate refuses."""
    return _said(gate, "fail", code, why, figures)


def not_judged(gate: GateName, why: str, **figures: float) -> Gate:
    """Return that a gate cannot say."""
    return _said(gate, "not judged", "", why, figures)


def _said(gate: GateName, finding: Finding, code: str, why: str, figures: dict[str, float]) -> Gate:
    return Gate(gate, finding, code, why, figures)


def _all_same(outputs: list[list[Array]]) -> bool:
    return all(same(outputs[0], output) for output in outputs[1:])


def _same_inputs(one: EngineInfo, other: EngineInfo) -> bool:
    return [(spec.name, spec.shape, spec.dtype) for spec in one.inputs] == [
        (spec.name, spec.shape, spec.dtype) for spec in other.inputs
    ]


def _stateful(description: ModelDescription) -> bool:
    return bool({"VAR_HANDLE", "CALL_ONCE", "LSTM", "RANDOM_UNIFORM"} & description.facts.ops.keys())


def _installed_runtime() -> tuple[str, str]:
    from inferd.runtime.library import find_runtime  # noqa: PLC0415 - only where a TensorFlow Lite model is vetted

    try:
        runtime = find_runtime()
    except ImportError as exc:
        raise EngineError("runtime", f"no TensorFlow Lite runtime is installed: {exc}") from exc
    return runtime.distribution, runtime.version


def _too_old(runtime: tuple[str, str], needed: str) -> bool:
    """Whether a runtime is older than what is needed; ai-edge-litert's own numbers begin after TensorFlow Lite's 2.x."""
    numbers = [int(part) for part in needed.split(".") if part.isdigit()]
    have = [int(part) for part in runtime[1].split(".") if part.isdigit()]
    if runtime[0] != OLD_RUNTIME:
        return numbers[:1] > max(have[:1], [2])
    return numbers > have
