"""The five gates a model passes before it may serve. Runs in the vet child, gate by gate, and stops at the first failure.

A gate that cannot be judged says so and why; only a failure refuses. docs/model-life.md lists what each gate looks for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inferd.accelerators.table import by_operators
from inferd.errors import EngineError, InferdError, ModelError
from inferd.foreign_text import printable
from inferd.store.description.bundle import find_bundle
from inferd.store.formats.bounded_file import ModelFile
from inferd.store.formats.known_defects import hazards
from inferd.vet.behaviour import BehaviourGate
from inferd.vet.changed_meaning import changed_meaning
from inferd.vet.compatibility import breach
from inferd.vet.cost_gate import CostLimits, judge_cost
from inferd.vet.golden import probes
from inferd.vet.rehearsal import rehearse
from inferd.vet.side_by_side import ExaminedModel, SideBySide
from inferd.wire.vetting import GateName, GateResult, failed, not_judged, passed

RUNS = 3  # the first after warm-up may still build caches; corrupted memory often shows only later
QUICK_RUNS = 2  # of a model that was vetted before
NO_MEMORY = "it needs more memory than it may take; see vet_memory_mb under [models]"
OLD_RUNTIME = "tflite-runtime"
BUILTIN_CUSTOM = "TFLite_Detection_PostProcess"  # the one custom operator that every runtime brings


class Gates:
    """Judges one model, gate by gate. Used once."""

    def __init__(self, models: SideBySide) -> None:
        """Judge the candidate of `models`, beside the model that it is to replace."""
        self._models = models
        self._behaviour = BehaviourGate(models, _changes(models.subject, models.against))
        self._has_digest = False

    @property
    def verified(self) -> bool:
        """Whether a digest, golden samples or golden pictures confirmed the model."""
        return self._has_digest or self._behaviour.verified

    def __iter__(self) -> Iterator[GateResult]:
        """Try gate by gate, up to the first that fails. What raises is refused: it would raise on a device, too."""
        steps: dict[GateName, Callable[[], GateResult]] = {
            "integrity": self.integrity,
            "loads": self.loads,
            "contract": self.contract,
            "behaviour": self._behaviour.judge,
            "cost": self.cost,
        }
        for name, judge in steps.items():
            try:
                gate = judge()
            except ModelError as exc:
                gate = failed(name, "bad_samples" if name == "behaviour" else "task_mismatch", str(exc))
            except InferdError as exc:
                gate = failed(name, "run_failed", exc.message)
            except MemoryError:
                gate = failed(name, "memory", NO_MEMORY)
            except Exception as exc:  # noqa: BLE001 - whatever a model's content makes a step raise, it is this model that is refused
                why = printable(f"it made inferd fail with {type(exc).__name__}: {exc}; please report it")
                gate = failed(name, "run_failed", why)
            yield gate
            if gate.finding == "fail":
                return

    def integrity(self) -> GateResult:
        """Is what arrived what was sent?"""
        said = self._models.subject.description.manifest.model.sha256
        if said is None:
            return not_judged("integrity", "its manifest has no sha256")
        found = _file_digest(self._models.subject)
        if found != said.lower():
            why = f"its SHA-256 is {found[:12]}…, its manifest says {said[:12]}…; copy it again"
            return failed("integrity", "digest_mismatch", why)
        self._has_digest = True
        return passed("integrity")

    def loads(self) -> GateResult:
        """Does the runtime take it, and run it more than once?"""
        if refusal := self._known_refusal():
            return refusal
        try:
            loaded = self._models.load_candidate(RUNS if self._models.request.gates else QUICK_RUNS)
        except EngineError as exc:
            return failed("loads", self._load_code(), exc.message)
        return passed("loads", load_ms=loaded.info.load_ms, warmup_ms=loaded.info.warmup_ms)

    def contract(self) -> GateResult:
        """Can a pipeline feed and read it, do labels fit, and does it keep what the model it replaces promised?"""
        description = self._models.subject.description
        if description.missing:
            return failed("contract", "incomplete", "; ".join(description.missing))
        try:
            rehearse(self._models.candidate)
        except InferdError as exc:
            return failed("contract", "task_mismatch", str(exc))
        before = self._models.against
        if before is not None:
            broken = breach(description, before.description, is_variant=self._models.is_other_variant)
            if broken is not None:
                return failed("contract", broken.code, broken.why)
        return passed("contract")

    def cost(self) -> GateResult:
        """Does it fit this device?"""
        candidate, budget, asked = self._models.candidate, self._models.budget, self._models.request
        if budget.rss_mb is not None and candidate.private_mb > budget.rss_mb:
            why = f"it takes {candidate.private_mb:.0f} MB, its budget is {budget.rss_mb:g} MB"
            return failed("cost", "memory_over_budget", why, private_mb=round(candidate.private_mb, 1))
        golden = self._behaviour.golden
        inputs = next(probes(candidate.info)) if golden is None else golden.sample(0, candidate.info)
        slower_max = 0.0 if self._models.is_other_variant else asked.slower_max
        return judge_cost(
            candidate.private_mb,
            self._models.fair_race(inputs),
            CostLimits(budget, slower_max, asked.core_w, self._models.subject.by_cpu_version),
        )

    def _known_refusal(self) -> GateResult | None:
        """Return what is known to fail without trying."""
        description = self._models.subject.description
        if self._models.request.engine.kind != "litert" or description.facts.format != "tflite":
            return None
        runtime = _installed_runtime()
        if (needed := description.manifest.model.min_runtime) and _too_old(runtime, needed):
            why = f"it needs runtime {needed}, this is {' '.join(runtime)}; upgrade it"
            return failed("loads", "runtime_too_old", why)
        if runtime[0] == OLD_RUNTIME and (found := hazards(find_bundle(self._models.subject.root).model)):
            why = f"has {' and '.join(found)}, which {' '.join(runtime)} computes wrongly; install ai-edge-litert"
            return failed("loads", "wrong_on_this_runtime", why)
        return None

    def _load_code(self) -> str:
        facts = self._models.subject.description.facts
        if by_operators(facts.custom_ops):
            return "wrong_accelerator"
        return "custom_op" if set(facts.custom_ops) - {BUILTIN_CUSTOM} else "load_failed"


def _changes(subject: ExaminedModel, against: ExaminedModel | None) -> str:
    """Return what a model means otherwise than the one it replaces, if both have the same weights; "" elsewhere."""
    if against is None or subject.description.manifest.model.contract == "new":
        return ""
    try:
        same_weights = _file_digest(subject) == _file_digest(against)
    except ModelError:  # a fake engine without a file
        return ""
    return changed_meaning(subject.description, against.description) if same_weights else ""


def _file_digest(model: ExaminedModel) -> str:
    """Return the SHA-256 of a model's file.

    Raises:
        ModelError: it cannot be read.
    """
    with ModelFile(find_bundle(model.root).model) as file:
        return file.sha256()


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
