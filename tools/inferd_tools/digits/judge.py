"""Runs a TFLite file over pictures and counts what it got right. Pure but for the interpreter it is handed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
_Z_95 = 1.959964  # the normal distribution's two-sided 95 %


class Interpreter(Protocol):
    """What ai-edge-litert's, tflite-runtime's and TensorFlow's interpreter have in common."""

    def allocate_tensors(self) -> None:
        """Make the interpreter ready; again is fine."""

    def get_input_details(self) -> list[dict[str, Any]]:  # Any: numbers, names, arrays and types by key
        """Tell the inputs: "index", "name", "quantization" and more."""

    def get_output_details(self) -> list[dict[str, Any]]:  # Any: as above
        """Tell the outputs, as the inputs."""

    def set_tensor(self, index: int, value: Array) -> None:
        """Copy a value of the tensor's own shape and type in."""

    def get_tensor(self, index: int) -> Array:
        """Return a copy of what the tensor holds."""

    def invoke(self) -> None:
        """Run the model once."""


@dataclass(frozen=True, slots=True)
class Score:
    """How many of how many were right."""

    right: int
    total: int

    @property
    def accuracy(self) -> float:
        """The share that was right, 0..1."""
        return self.right / self.total

    def interval(self) -> tuple[float, float]:
        """Return Wilson's 95 % interval of the accuracy, as if all samples were independent."""
        n, p, z = self.total, self.accuracy, _Z_95
        middle = (p + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
        return middle - half, min(1.0, middle + half)


def quantised_scores(interpreter: Interpreter, pictures: Array) -> Array:
    """Return (n, 10) uint8 outputs, as they stand in the tensor, of (n, 32, 32, 1) uint8 pictures."""
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    told = interpreter.get_output_details()[0]["index"]
    scores = []
    for picture in pictures:
        interpreter.set_tensor(given, picture[np.newaxis])
        interpreter.invoke()
        scores.append(interpreter.get_tensor(told)[0])
    return np.stack(scores)


def score(answers: Array, truth: Array) -> Score:
    """Count where (n,) answers equal (n,) truths."""
    return Score(int((answers == truth).sum()), len(truth))


def score_by(groups: Array, answers: Array, truth: Array) -> dict[int, Score]:
    """Return the score of each group, such as each digit or each form; `groups` is (n,) integers."""
    return {int(group): score(answers[groups == group], truth[groups == group]) for group in np.unique(groups)}


def confusions(answers: Array, truth: Array) -> list[tuple[int, int, int]]:
    """Return (truth, answer, how often) of every kind of mistake, the commonest first."""
    pairs, counts = np.unique(np.stack([truth, answers])[:, truth != answers], axis=1, return_counts=True)
    found = [(int(was), int(said), int(count)) for (was, said), count in zip(pairs.T, counts, strict=True)]
    return sorted(found, key=lambda pair: -pair[2])
