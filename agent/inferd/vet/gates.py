"""The five gates a model passes before it may serve. Runs in the vet child, gate by gate, and stops at the first failure.

A gate that cannot be judged says so and why; only a failure refuses. What each of them looks for stands in
docs/models.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from inferd.accelerators.table import by_operators
from inferd.errors import EngineError, InferdError, ModelError
from inferd.pipeline import build_steps
from inferd.store.description.bundle import find_bundle
from inferd.store.formats.bounded_file import ModelFile
from inferd.store.formats.known_defects import hazards
from inferd.system.processes.process import private_mb
from inferd.vet.behaviour import Behaviour
from inferd.vet.compatibility import breach
from inferd.vet.cost import CostLimits, judge_cost
from inferd.vet.golden import probes, run
from inferd.vet.side_by_side import LoadedModel, load
from inferd.wire.vetting import GateName, GateResult, failed, not_judged, passed

WHOLE_PICTURE = (0.0, 0.0, 1.0, 1.0)
RUNS = 3  # the first after warm-up may still build caches; corrupted memory often shows only later
QUICK_RUNS = 2  # of a model that was vetted before
OLD_RUNTIME = "tflite-runtime"


class Gates(Behaviour):
    """A stand that judges gate by gate."""

    __slots__ = ()

    def __iter__(self) -> Iterator[GateResult]:
        """Try gate by gate, up to the first that fails."""
        steps: dict[GateName, Callable[[], GateResult]] = {
            "integrity": self.integrity,
            "loads": self.loads,
            "contract": self.contract,
            "behaviour": self.behaviour,
            "cost": self.cost,
        }
        for name, judge in steps.items():
            try:
                gate = judge()
            except ModelError as exc:
                gate = failed(name, "bad_samples", f"{exc.part} {exc.message}")
            except InferdError as exc:
                gate = failed(name, "run_failed", exc.message)
            yield gate
            if gate.finding == "fail":
                return

    def integrity(self) -> GateResult:
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

    def loads(self) -> GateResult:
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
        self.loaded = LoadedModel(engine, engine.info, max(0.0, private_mb() - before_mb))
        return passed("loads", load_ms=engine.info.load_ms, warmup_ms=engine.info.warmup_ms)

    def contract(self) -> GateResult:
        """Do its tensors fit its task and labels, and does it keep what the model it replaces promised?"""
        description = self.subject.description
        if description.missing:
            return failed("contract", "incomplete", "; ".join(description.missing))
        try:
            build_steps(description, self.running.engine, WHOLE_PICTURE)
        except ModelError as exc:
            return failed("contract", "task_mismatch", exc.message)
        before = self.against
        if before is not None and (broken := breach(description, before.description, is_variant=self.is_other_variant)):
            return failed("contract", broken.code, broken.why)
        return passed("contract")

    def cost(self) -> GateResult:
        """Does it fit this device?"""
        running, budget, asked = self.running, self.budget, self.request
        if budget.rss_mb is not None and running.private_mb > budget.rss_mb:
            why = f"it takes {running.private_mb:.0f} MB, its budget is {budget.rss_mb:g} MB"
            return failed("cost", "memory_over_budget", why, private_mb=round(running.private_mb, 1))
        self.load_rival()
        inputs = next(probes(running.info)) if running.golden is None else running.golden.sample(0, running.info)
        slower_max = 0.0 if self.is_other_variant else asked.slower_max
        return judge_cost(
            running.private_mb,
            self.fair_race(inputs),
            CostLimits(budget, slower_max, asked.core_w, self.subject.by_twin),
        )

    def _known_refusal(self) -> GateResult | None:
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
        if by_operators(facts.custom_ops):
            return "wrong_accelerator"
        return "custom_op" if set(facts.custom_ops) - {"TFLite_Detection_PostProcess"} else "load_failed"


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
