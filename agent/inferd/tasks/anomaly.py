"""How unlike the usual a sample is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.plugins import Task
from inferd.records import Array, EngineInfo, Geometry, Label, Result
from inferd.tasks.rules.moving_average import Average
from inferd.wire.manifest import ModelDescription

NORMAL, ANOMALY = "normal", "anomaly"


def build(description: ModelDescription, info: EngineInfo) -> Task:
    """Make what measures: the distance from the manifest's `output.reference` where it has one, else reconstruction.

    Raises:
        ModelError: the tensors do not fit that.
    """
    if description.manifest.output.reference is not None:
        return Distance(description, info)
    return Reconstruction(description, info)


class AnomalyJudge:
    """Turns a measure into a result: its mean over frames, and where a limit is known, which side of it that is."""

    def __init__(self, description: ModelDescription) -> None:
        """Take limit and average from the manifest; `labels` may name the usual and the unusual."""
        said = description.manifest.output
        self._limit = said.limit
        self._mean = Average(said.average)
        self._labels = description.labels if len(description.labels) == len((NORMAL, ANOMALY)) else (NORMAL, ANOMALY)

    def forget(self) -> None:
        """Begin the mean anew."""
        self._mean.forget()

    def __call__(self, measure: float) -> Result:
        """Return the score (0 or more, without an upper end); the label's score is 0.5 at the limit, 1 far from it."""
        score = float(self._mean(np.array([measure], np.float32))[0])
        if self._limit is None:
            return Result(score=score)
        unusual = score / (score + self._limit) if score + self._limit > 0 else 0.0
        at = int(score > self._limit or not np.isfinite(score))
        sure = 1.0 if not np.isfinite(score) else (unusual if at else 1 - unusual)
        return Result(score=score, labels=(Label(at, self._labels[at], sure),))


class Reconstruction:
    """Measures how badly an autoencoder rebuilds its input: the mean square of input less output, in real numbers."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Fit input and output to each other.

        Args:
            description: tells limit and average.
            info: tells scales and zero points.

        Raises:
            ModelError: the output has not as many values as the input.
        """
        sizes = [[int(np.prod(spec.shape)) for spec in specs] for specs in (info.inputs, info.outputs)]
        if not all(sizes) or sizes[0][0] != sizes[1][0]:
            remedy = "an autoencoder gives as many as it takes; say reference under [output] to measure a distance"
            raise ModelError(description.ref.name, f"takes {sizes[0]} values and gives {sizes[1]}; {remedy}")
        self._in, self._out = info.inputs[0], info.outputs[0]
        self._seen = np.empty(sizes[0][0], self._in.dtype)
        self._verdict = AnomalyJudge(description)
        self.forget = self._verdict.forget

    def watch(self, inputs: Sequence[Array]) -> None:
        """Keep a copy of the first input."""
        np.copyto(self._seen, inputs[0].reshape(-1))

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:  # noqa: ARG002 - no place
        """Return the mean square error as `score`, and the verdict where a limit is known."""
        error = dequantize(self._seen, self._in) - dequantize(outputs[0].reshape(-1), self._out)
        return self._verdict(float(np.mean(np.square(error, dtype=np.float64))))


class Distance:
    """Measures how far the first output lies from the manifest's reference (Euclidean)."""

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Take the reference.

        Raises:
            ModelError: it has not as many values as the output.
        """
        said = description.manifest.output
        self._reference = np.array(said.reference, np.float32)
        size = int(np.prod(info.outputs[0].shape)) if info.outputs else 0
        if size != self._reference.size:
            raise ModelError(
                description.ref.name, f"gives {size} values, but output.reference has {self._reference.size}"
            )
        self._spec = info.outputs[0]
        self._normalize = bool(said.normalize)
        if self._normalize:
            self._reference = _unit(self._reference)
        self._verdict = AnomalyJudge(description)
        self.forget = self._verdict.forget

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:  # noqa: ARG002 - no place
        """Return the distance as `score`, of vectors of length 1 where `normalize` says so."""
        vector = dequantize(outputs[0].reshape(-1), self._spec)
        vector = _unit(vector) if self._normalize else vector
        return self._verdict(float(np.linalg.norm(vector - self._reference)))


def _unit(vector: Array) -> Array:
    length = float(np.linalg.norm(vector))
    scaled: Array = vector / np.float32(length or 1.0)
    return scaled
