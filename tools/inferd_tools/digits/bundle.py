"""Writes what lies beside the model: manifest, labels and golden samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inferd_tools.digits.data import Digits
from inferd_tools.digits.draw import CLIP_REACH, DESK, draw, stray, to_input
from inferd_tools.digits.judge import Interpreter, quantised_scores

Array = NDArray[Any]
VERSION = "1.0.0"
LABELS = tuple("0123456789")
GOLDEN_SAMPLES = 32
GOLDEN_TOLERANCE = 0.03  # 7 steps of 1/256; ai-edge-litert 2.3 and tflite-runtime 2.14 differ by up to 6 on the clip
LATENCY_BUDGET_MS = 20.0
_SEED = 32

_MANIFEST = """\
schema_version = 1

[model]
name = "digits"
version = "{version}"
task = "classify"
min_runtime = "2.14"
description = "One handwritten digit, dark on light paper, to 0..9. The demo of inferd; see README.md beside this file."
licence = "Apache-2.0; trained on, and clip and golden samples made from, data under CC BY 4.0 (see README.md)"

[input]
color_order = "gray"
resize = "stretch"
filter = "area"
range = [0.0, 1.0]
layout = "nhwc"

[output]
labels = "labels.txt"
label_offset = 0
activation = "none"
threshold = 0.0
top_k = 3

[budget]
# A limit for the slowest board, not a measurement: it leaves room where no fast int8 kernels are.
latency_p95_ms = {latency_ms}
# Held-out writers, every frame of clip.avi; the measured figure, rounded down.
accuracy = {accuracy}

[golden]
# Digits of training writers, seen as in the clip: they tell a broken runtime, not a good model.
samples = "golden.npz"
tolerance = {tolerance}
"""


def write_manifest(folder: Path, accuracy: float) -> None:
    """Write `model.toml` and `labels.txt`; `accuracy` (0..1) is what the model must reach."""
    text = _MANIFEST.format(
        version=VERSION, accuracy=accuracy, latency_ms=LATENCY_BUDGET_MS, tolerance=GOLDEN_TOLERANCE
    )
    (folder / "model.toml").write_text(text, encoding="utf-8")
    (folder / "labels.txt").write_text("".join(f"{label}\n" for label in LABELS), encoding="utf-8")


def write_golden(folder: Path, digits: Digits, interpreter: Interpreter) -> None:
    """Write `golden.npz`: inputs and outputs as they stand in the tensors (uint8), and the true classes (int64).

    Args:
        folder: the model's.
        digits: of training writers only.
        interpreter: of the model that the outputs are expected of.
    """
    rng = np.random.default_rng(_SEED)
    chosen = rng.permutation(len(digits.labels))[:GOLDEN_SAMPLES]
    pictures = np.stack([to_input(draw(digits.cells[index], stray(DESK, CLIP_REACH, rng), rng)) for index in chosen])
    given, told = interpreter.get_input_details()[0]["name"], interpreter.get_output_details()[0]["name"]
    arrays = {
        given: pictures,
        f"output:{told}": quantised_scores(interpreter, pictures),
        "label": digits.labels[chosen],
    }
    with (folder / "golden.npz").open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # the stub takes the names for its own flags
