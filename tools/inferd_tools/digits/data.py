"""The digits and who wrote them: scikit-learn's copy of the UCI test part, split between writers, never inside one.

The data set names no writers, but its order shows them. Everybody filled in the same form, so the same sequence of some
130 labels comes again and again, a few digits missing here and there: fourteen times, at `FORM_STARTS`. UCI counts
thirteen writers, so one of them may have filled in two forms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FORM_STARTS = (0, 130, 256, 386, 516, 646, 776, 906, 1029, 1157, 1287, 1415, 1545, 1667)
SAMPLES = 1797
VALIDATION_FORM = 9  # forms 9 and 10 are held back while choosing; they are the likeliest to be one writer's two
HELD_OUT_FORM = 11  # forms 11, 12 and 13 are nobody's business but the card's and the clip's


@dataclass(frozen=True, slots=True)
class Digits:
    """Handwritten digits.

    Attributes:
        cells: (n, 8, 8) uint8, ink 0..16.
        labels: (n,) int64, 0..9.
        forms: (n,) int64, which form each stood on.
    """

    cells: Array
    labels: Array
    forms: Array

    def on_forms(self, first: int, end: int) -> Digits:
        """Return the digits of forms `first` to `end` - 1."""
        chosen = (self.forms >= first) & (self.forms < end)
        return Digits(self.cells[chosen], self.labels[chosen], self.forms[chosen])


def load() -> Digits:
    """Return all digits in their published order.

    Raises:
        RuntimeError: the installed scikit-learn ships other data than this split was made for.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 - only the recipe needs it, the rest of this file does not

    bunch = load_digits()
    if len(bunch.target) != SAMPLES:
        raise RuntimeError(f"scikit-learn gives {len(bunch.target)} digits; the split by writers knows {SAMPLES}")
    forms = np.searchsorted(FORM_STARTS, np.arange(SAMPLES), side="right") - 1
    return Digits(bunch.images.astype(np.uint8), bunch.target.astype(np.int64), forms.astype(np.int64))


def learning(digits: Digits) -> Digits:
    """Return what is trained on while choices are made: nine forms."""
    return digits.on_forms(0, VALIDATION_FORM)


def validation(digits: Digits) -> Digits:
    """Return what choices are judged by: two forms."""
    return digits.on_forms(VALIDATION_FORM, HELD_OUT_FORM)


def training(digits: Digits) -> Digits:
    """Return what the shipped model is trained on once all is chosen: the eleven forms of the two above."""
    return digits.on_forms(0, HELD_OUT_FORM)


def held_out(digits: Digits) -> Digits:
    """Return what the card reports and the clip shows: three forms, used for no choice."""
    return digits.on_forms(HELD_OUT_FORM, len(FORM_STARTS))
