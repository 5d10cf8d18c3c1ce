"""The gate of behaviour: golden samples and pictures, classes, repeatability. Runs in the vet child."""

from __future__ import annotations

import numpy as np

from inferd.errors import InferdError
from inferd.records import Array
from inferd.vet.golden import Golden, finite, largest_excess, probes, read_golden, run, same
from inferd.vet.golden_pictures import (
    ExpectedResult,
    GoldenPicture,
    agreement,
    first_difference,
    read_pictures,
    results,
)
from inferd.vet.rehearsal import frame_of
from inferd.vet.side_by_side import LoadedModel, SideBySide
from inferd.wire.manifest import ModelDescription
from inferd.wire.vetting import GateResult, doubtful, failed, not_judged, passed

REGRESSION = 0.02  # accuracy on the same samples may be lower by so much
UNVERIFIED = "it comes without golden samples or pictures: unverified"


class BehaviourGate:
    """Judges what a model answers. Used once, after the model was loaded and its steps were built."""

    def __init__(self, models: SideBySide, changes: str) -> None:
        """Judge the candidate of `models`; `changes` says what it means otherwise than the same weights did before."""
        self._models = models
        self._changes = changes
        self.verified = False
        self.golden: Golden | None = None

    def judge(self) -> GateResult:
        """Does it answer as it should?

        Raises:
            ModelError: its samples or pictures cannot be read.
            InferdError: a step refuses one of them.
        """
        self.golden = self._samples()
        gate = self._unverified() if self.golden is None else self._judge_samples(self.golden)
        if gate.finding == "fail":
            return gate
        return self._judge_pictures(gate)

    def _samples(self) -> Golden | None:
        """Return its golden samples; those of the model it replaces, if only their classes, where it has none."""
        models = self._models
        if models.subject.samples is not None:
            return read_golden(models.subject.samples, models.candidate.info, models.subject.description)
        rival = models.like_rival()
        if rival is None or rival.model.samples is None:
            return None
        try:
            theirs = read_golden(rival.model.samples, rival.info, rival.model.description)
        except InferdError:  # of another model, whose files are not this one's fault
            return None
        return None if theirs.labels is None else Golden(theirs.inputs, {}, theirs.labels, theirs.count)

    def _unverified(self) -> GateResult:
        """Judge what can be judged of a model without samples."""
        candidate = self._models.candidate
        inputs = list(probes(candidate.info))
        outputs = [run(candidate.engine, given) for given in inputs]
        if not all(map(finite, outputs)):
            return failed("behaviour", "nonfinite_output", "its outputs hold NaN or infinity")
        if not same(run(candidate.engine, inputs[-1]), outputs[-1]) and not _may_vary(candidate.model.description):
            return failed("behaviour", "not_repeatable", "the same input gives another answer the second time")
        if _all_same(outputs) and self._rival_varies(inputs):
            return failed("behaviour", "constant_output", "it answers the same whatever it is shown")
        return not_judged("behaviour", UNVERIFIED)

    def _rival_varies(self, inputs: list[list[Array]]) -> bool:
        """Whether the model it replaces answers these inputs in different ways."""
        rival = self._models.like_rival()
        return rival is not None and not _all_same([run(rival.engine, given) for given in inputs])

    def _judge_samples(self, golden: Golden) -> GateResult:
        candidate = self._models.candidate
        outputs = [run(candidate.engine, golden.sample(index, candidate.info)) for index in range(golden.count)]
        again = run(candidate.engine, golden.sample(0, candidate.info))
        if not all(map(finite, outputs)):
            return failed("behaviour", "nonfinite_output", "its outputs hold NaN or infinity on its golden samples")
        if not same(again, outputs[0]) and not _may_vary(candidate.model.description):
            return failed("behaviour", "not_repeatable", "the same sample gives another answer the second time")
        return _constant(golden, outputs) or self._mismatch(golden, outputs) or self._accuracy(golden)

    def _mismatch(self, golden: Golden, outputs: list[list[Array]]) -> GateResult | None:
        tolerance, info = self._models.subject.description.manifest.golden.tolerance, self._models.candidate.info
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

    def _accuracy(self, golden: Golden) -> GateResult:
        description = self._models.subject.description
        figures = {"samples": float(golden.count)}
        if golden.labels is None or description.manifest.model.task != "classify":
            return passed("behaviour", **figures)
        figures["accuracy"] = mine = accuracy(golden, self._models.candidate)
        wanted = self._models.budget.accuracy
        if wanted is not None and mine < wanted:
            why = f"it is right in {mine:.1%}, its budget is {wanted:.1%}"
            return failed("behaviour", "accuracy_under_budget", why, **figures)
        rival = self._models.like_rival()
        if rival is not None:
            figures["against_accuracy"] = theirs = accuracy(golden, rival)
            if not self._models.is_other_variant and mine < theirs - max(REGRESSION, 1.5 / golden.count):
                why = f"it is right in {mine:.1%} of the samples, the model it replaces in {theirs:.1%}"
                return failed("behaviour", "accuracy_regressed", why, **figures)
        if mine == 0.0:
            why = f"it is right in none of its {golden.count} labelled samples; its labels, [input] or [output] do not fit it"
            return failed("behaviour", "never_right", why, **figures)
        return passed("behaviour", **figures)

    def _judge_pictures(self, gate: GateResult) -> GateResult:
        """Judge a model by its own golden pictures, or by those of the model it replaces; `gate` is what samples said."""
        own = read_pictures(self._models.subject)
        if own:
            return self._judge_own_pictures(own, gate)
        rival = self._models.rival()
        theirs = [] if rival is None else _readable_pictures(rival)
        if rival is None or not theirs:
            if not self._changes:
                return gate
            return doubtful(
                "behaviour", f"{self._doubt()}, and no golden picture shows whether that is right", **gate.figures
            )
        found = results(theirs, self._models.candidate)
        figures = {**gate.figures, "pictures": float(len(theirs)), "picture_agreement": agreement(theirs, found)}
        if self._changes:
            if difference := self._difference(theirs, found, rival.model.description):
                why = f"{self._doubt()}, and the golden pictures of the model it replaces say otherwise: {difference}"
                return failed("behaviour", "meaning_changed", why, **figures)
        elif figures["picture_agreement"] < 1 - max(REGRESSION, 1.5 / len(theirs)):
            why = f"it says the same as the model it replaces in {figures['picture_agreement']:.0%} of its golden pictures"
            return failed("behaviour", "accuracy_regressed", why, **figures)
        return GateResult("behaviour", gate.finding, gate.code, gate.why, figures)

    def _judge_own_pictures(self, own: list[GoldenPicture], gate: GateResult) -> GateResult:
        found = results(own, self._models.candidate)
        if difference := self._difference(own, found, self._models.subject.description):
            return failed("behaviour", "golden_mismatch", difference, **gate.figures)
        self.verified = True
        return passed("behaviour", **gate.figures, pictures=float(len(own)))

    def _difference(
        self, pictures: list[GoldenPicture], found: list[ExpectedResult], description: ModelDescription
    ) -> str:
        manifest = description.manifest
        return first_difference(pictures, found, manifest.golden.tolerance, manifest.output.threshold or 0.0)

    def _doubt(self) -> str:
        return f"its weights are those of the model it replaces, but {self._changes}"


def accuracy(golden: Golden, loaded: LoadedModel) -> float:
    """Return the share of samples (0..1) whose best label, as a pipeline reports it, is the true class."""
    assert golden.labels is not None  # noqa: S101 - asked for only where there are
    offset = loaded.model.description.manifest.output.label_offset or 0
    guesses = []
    for index in range(golden.count):
        sample = golden.sample(index, loaded.info)
        frame = frame_of({spec.name: array for spec, array in zip(loaded.info.inputs, sample, strict=True)})
        labels = loaded.answer(frame)[1].labels
        guesses.append(labels[0].id + offset if labels else -1)
    return float(np.mean(np.asarray(guesses) == golden.labels))


def _readable_pictures(rival: LoadedModel) -> list[GoldenPicture]:
    try:
        return read_pictures(rival.model)
    except InferdError:  # of another model, whose files are not this one's fault
        return []


def _constant(golden: Golden, outputs: list[list[Array]]) -> GateResult | None:
    varied = any(
        not same([array[0]], [array[index]]) for array in golden.outputs.values() for index in range(golden.count)
    )
    varied = varied or (golden.labels is not None and len(np.unique(golden.labels)) > 1)
    if varied and _all_same(outputs):
        return failed("behaviour", "constant_output", "it answers the same whatever it is shown")
    return None


def _all_same(outputs: list[list[Array]]) -> bool:
    return all(same(outputs[0], output) for output in outputs[1:])


def _may_vary(description: ModelDescription) -> bool:
    """Whether a model may answer the same input differently: one that remembers, or draws random numbers."""
    return description.facts.stateful or "RANDOM_UNIFORM" in description.facts.ops
