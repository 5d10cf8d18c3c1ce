"""Which class a picture (or any other sample) shows."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from inferd.array_math import dequantize
from inferd.errors import ModelError
from inferd.records import Array, EngineInfo, Geometry, Label, Result
from inferd.tasks.postprocess.labels import Labels
from inferd.tasks.postprocess.scores import activate, best, require_scores
from inferd.tasks.rules.moving_average import Average
from inferd.wire.manifest import ModelDescription

DEFAULT_TOP_K = 5


class Classify:
    """Reads the first output, (1, ..., n) of any number dtype, as one score per class.

    One number p is the score of the second class of two, and 1 - p that of the first, as Keras and scikit-learn train
    binary classifiers; with one label, p is the score of that.
    """

    def __init__(self, description: ModelDescription, info: EngineInfo) -> None:
        """Settle how scores are read.

        Args:
            description: tells labels, offset, activation, average, threshold and top_k.
            info: tells the output's scale and zero point.

        Raises:
            ModelError: the model has no output, or its one output is to be a softmax, which is 1 whatever it says.
        """
        if not info.outputs:
            raise ModelError(description.ref.name, "has no output, so there are no classes to read")
        said = description.manifest.output
        self._name = description.ref.name
        self._single = math.prod(info.outputs[0].shape) == 1
        if self._single and said.activation == "softmax":
            raise ModelError(
                description.ref.name, "has one output, whose softmax is always 1; say activation sigmoid or none"
            )
        self._both = self._single and len(description.labels) != 1
        self._spec = info.outputs[0]
        self._activation = said.activation or "none"
        self._threshold = said.threshold or 0.0
        self._top_k = said.top_k or DEFAULT_TOP_K
        self._labels = Labels(description)
        self._averages = said.average not in (None, 1)
        self._mean = Average(said.average)

    def forget(self) -> None:
        """Begin the mean anew."""
        self._mean.forget()

    def decode(self, outputs: Sequence[Array], geometry: Geometry) -> Result:  # noqa: ARG002 - a class has no place
        """Return the best `top_k` classes with a score of at least `threshold`, best first.

        Where the manifest says `average`, scores are the mean up to this frame.
        """
        values = outputs[0].reshape(-1)
        if self._single:
            return self._decode_single(values)
        if not self._averages and self._activation == "none":  # scale is positive: raw numbers lie in the scores' order
            chosen = best(values, self._top_k)
            scores = dequantize(values[chosen], self._spec)
        else:
            all_scores = self._mean(activate(dequantize(values, self._spec), self._activation))
            chosen = best(all_scores, self._top_k)
            scores = all_scores[chosen]
        return self._result(chosen, scores)

    def _decode_single(self, values: Array) -> Result:
        """Read one number as both of two classes."""
        score = activate(dequantize(values, self._spec), self._activation)
        require_scores(score, self._name, "its one class")
        scores = self._mean(np.append(1 - score, score) if self._both else score)
        chosen = best(scores, self._top_k)
        return self._result(chosen, scores[chosen])

    def _result(self, chosen: Array, scores: Array) -> Result:
        pairs = zip(chosen.tolist(), scores.tolist(), strict=True)
        return Result(labels=tuple(Label(i, self._labels[i], s) for i, s in pairs if s >= self._threshold))
