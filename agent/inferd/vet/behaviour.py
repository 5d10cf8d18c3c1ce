"""The gate of behaviour: golden samples, classes, repeatability. Runs in the vet child."""

from __future__ import annotations

import numpy as np

from inferd.array_math import dequantize
from inferd.records import Array, EngineInfo
from inferd.vet.golden import Golden, finite, largest_excess, probes, read_golden, run, same
from inferd.vet.side_by_side import SideBySide, same_inputs
from inferd.wire.manifest import ModelDescription
from inferd.wire.vetting import GateResult, failed, not_judged, passed

REGRESSION = 0.02  # accuracy on the same samples may be lower by so much


class Behaviour(SideBySide):
    """A stand that judges what a model answers."""

    __slots__ = ()

    def behaviour(self) -> GateResult:
        """Does it answer as it should?"""
        running = self.running
        running.golden = self._golden()
        if running.golden is None:
            return self._unverified()
        outputs = [
            run(running.engine, running.golden.sample(index, running.info)) for index in range(running.golden.count)
        ]
        again = run(running.engine, running.golden.sample(0, running.info))
        if not all(map(finite, outputs)):
            return failed("behaviour", "nonfinite_output", "its outputs hold NaN or infinity on its golden samples")
        if not same(again, outputs[0]) and not _may_vary(self.subject.description):
            return failed("behaviour", "not_repeatable", "the same sample gives another answer the second time")
        return (
            self._constant(running.golden, outputs)
            or self._mismatch(running.golden, outputs)
            or self._accuracy(outputs)
        )

    def _golden(self) -> Golden | None:
        """Return its golden samples; those of the model it replaces, if only their classes, where it has none."""
        running = self.running
        if self.subject.samples is not None:
            return read_golden(self.subject.samples, running.info)
        self.load_rival()
        rival = self.rival
        if (
            rival is None
            or rival.golden is None
            or rival.golden.labels is None
            or not same_inputs(rival.info, running.info)
        ):
            return None
        return Golden(rival.golden.inputs, {}, rival.golden.labels, rival.golden.count)

    def _unverified(self) -> GateResult:
        """Judge what can be judged of a model without samples."""
        engine, info = self.running.engine, self.running.info
        inputs = list(probes(info))
        outputs = [run(engine, given) for given in inputs]
        if not all(map(finite, outputs)):
            return failed("behaviour", "nonfinite_output", "its outputs hold NaN or infinity")
        if not same(run(engine, inputs[-1]), outputs[-1]) and not _may_vary(self.subject.description):
            return failed("behaviour", "not_repeatable", "the same input gives another answer the second time")
        if _all_same(outputs) and self._rival_varies(inputs):
            return failed("behaviour", "constant_output", "it answers the same whatever it is shown")
        return not_judged("behaviour", "it comes without golden samples: unverified")

    def _rival_varies(self, inputs: list[list[Array]]) -> bool:
        """Whether the model it replaces answers these inputs in different ways."""
        self.load_rival()
        if self.rival is None or not same_inputs(self.rival.info, self.running.info):
            return False
        return not _all_same([run(self.rival.engine, given) for given in inputs])

    def _constant(self, golden: Golden, outputs: list[list[Array]]) -> GateResult | None:
        varied = any(
            not same([array[0]], [array[index]]) for array in golden.outputs.values() for index in range(golden.count)
        )
        varied = varied or (golden.labels is not None and len(np.unique(golden.labels)) > 1)
        if varied and _all_same(outputs):
            return failed("behaviour", "constant_output", "it answers the same whatever it is shown")
        return None

    def _mismatch(self, golden: Golden, outputs: list[list[Array]]) -> GateResult | None:
        tolerance, info = self.subject.description.manifest.golden.tolerance, self.running.info
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

    def _accuracy(self, outputs: list[list[Array]]) -> GateResult:
        golden = self.running.golden
        assert golden is not None  # noqa: S101 - behaviour has read it
        figures = {"samples": float(golden.count)}
        if golden.labels is None or self.subject.description.manifest.model.task != "classify":
            return passed("behaviour", **figures)
        figures["accuracy"] = mine = accuracy(outputs, golden.labels, self.subject.description, self.running.info)
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
            if not self.is_other_variant and mine < theirs - max(REGRESSION, 1.5 / golden.count):
                why = f"it is right in {mine:.1%} of the samples, the model it replaces in {theirs:.1%}"
                return failed("behaviour", "accuracy_regressed", why, **figures)
        return passed("behaviour", **figures)

    def _rival_accuracy(self, golden: Golden) -> float | None:
        self.load_rival()
        if self.rival is None or self.against is None or not same_inputs(self.rival.info, self.running.info):
            return None
        rival, info = self.rival, self.rival.info
        outputs = [run(rival.engine, golden.sample(index, self.running.info)) for index in range(golden.count)]
        assert golden.labels is not None  # noqa: S101 - asked only where there are
        return accuracy(outputs, golden.labels, self.against.description, info)


def accuracy(outputs: list[list[Array]], labels: Array, description: ModelDescription, info: EngineInfo) -> float:
    """Return the share of samples (0..1) whose strongest output is the true class."""
    offset = description.manifest.output.label_offset or 0
    guesses = [int(np.argmax(dequantize(output[0].reshape(-1), info.outputs[0]))) + offset for output in outputs]
    return float(np.mean(np.asarray(guesses) == labels))


def _all_same(outputs: list[list[Array]]) -> bool:
    return all(same(outputs[0], output) for output in outputs[1:])


def _may_vary(description: ModelDescription) -> bool:
    """Whether a model may answer the same input differently: one that remembers, or throws dice."""
    return description.facts.stateful or "RANDOM_UNIFORM" in description.facts.ops
