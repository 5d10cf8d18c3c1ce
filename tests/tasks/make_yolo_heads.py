"""Writes models/yolov8.tflite and models/yolov5.tflite: small heads in the layouts that Ultralytics and YOLOv5 export.

Nothing is trained: an 8 x 8 grid looks at a picture of 64 x 64; each cell proposes a box of 16 x 16 around its middle, red as
class 0, blue as class 1, with the mean brightness of its colour as the score. Run it where TensorFlow is installed:
`python tests/tasks/make_yolo_heads.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

SIDE, CELLS, BOX = 64, 8, 16


def head(picture: Any, *, objectness: bool) -> Any:  # TensorFlow has no types
    """Return (1, n, 4 + 2) rows, or with how sure the model is of any object in between, (1, n, 4 + 1 + 2)."""
    means = tf.nn.avg_pool2d(picture, SIDE // CELLS, SIDE // CELLS, "VALID")
    scores = tf.reshape(tf.stack((means[..., 0], means[..., 2]), axis=-1), (1, CELLS * CELLS, 2))
    middles = (np.arange(CELLS, dtype=np.float32) + 0.5) / CELLS
    y, x = np.meshgrid(middles, middles, indexing="ij")
    side = np.full(CELLS * CELLS, BOX / SIDE, np.float32)
    places = tf.constant(np.stack((x.ravel(), y.ravel(), side, side), axis=1)[None])
    if objectness:
        return tf.concat((places, tf.reduce_max(scores, axis=2, keepdims=True), scores), axis=2)
    return tf.concat((places, scores), axis=2)


def export(name: str) -> None:
    """Write one of the two."""

    @tf.function(input_signature=[tf.TensorSpec((1, SIDE, SIDE, 3), tf.float32, name="images")])  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def rows(images: Any) -> Any:  # as above
        found = head(images, objectness=name == "yolov5")
        return found if name == "yolov5" else tf.transpose(found, (0, 2, 1))

    converter = tf.lite.TFLiteConverter.from_concrete_functions([rows.get_concrete_function()])
    (Path(__file__).parent / "models" / f"{name}.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    export("yolov8")
    export("yolov5")
