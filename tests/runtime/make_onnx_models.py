"""Writes the ONNX models beside it; run it where onnx, tf2onnx and TensorFlow are installed.

`python tests/runtime/make_onnx_models.py`; digits.onnx is our own models/digits/model.tflite, converted.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper

HERE = Path(__file__).parent
OPSET = 13  # what onnxruntime 1.17 and every converter of these years know


def save(name: str, kind: int, shape: list[object], op: str = "Add") -> None:
    """Save a model of one operator that takes its input once (Identity) or twice (Add: it doubles it)."""
    ends = [helper.make_tensor_value_info(end, kind, shape) for end in ("x", "y")]
    graph = helper.make_graph(
        [helper.make_node(op, ["x"] * (2 if op == "Add" else 1), ["y"])], "one", ends[:1], ends[1:]
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="inferd tests")
    made.ir_version = 8
    onnx.save(made, HERE / "models" / f"{name}.onnx")


def convert(source: Path, name: str) -> None:
    """Convert a .tflite file with tf2onnx."""
    output = str(HERE / "models" / f"{name}.onnx")
    command = [sys.executable, "-m", "tf2onnx.convert", "--tflite", str(source), "--output", output]
    subprocess.run([*command, "--opset", str(OPSET)], check=True)


if __name__ == "__main__":
    save("open_batch", TensorProto.FLOAT, ["batch", 4])
    save("scalar", TensorProto.FLOAT, [])
    save("text", TensorProto.STRING, [1], "Identity")
    convert(HERE.parents[1] / "models" / "digits" / "model.tflite", "digits")
