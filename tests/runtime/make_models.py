"""Writes the models beside it: a few hundred bytes each, one for each thing that published models here do not show.

Run it where ai-edge-litert and flatbuffers are installed: `python tests/runtime/make_models.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]  # it ships no types
import numpy as np
from ai_edge_litert import schema_py_generated as schema

TYPES = schema.TensorType
OPS = schema.BuiltinOperator
OPTIONS = schema.BuiltinOptions
NUMBERS = (
    *("FLOAT32", "FLOAT16", "FLOAT64", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32", "INT64", "UINT64"),
    *("BOOL", "COMPLEX64", "COMPLEX128"),
)
ONE = np.float32(1).tobytes()
EDGETPU_OP = "edgetpu-custom-op"


def tensor(
    name: str, shape: Sequence[int], kind: int, buffer: int = 0, signature: Sequence[int] = ()
) -> Any:  # generated types
    made = schema.TensorT()
    made.name, made.shape, made.type, made.buffer = name, list(shape), kind, buffer
    made.shapeSignature = list(signature) or None
    return made


def operator(inputs: Sequence[int], outputs: Sequence[int], options: Any, kind: int) -> Any:  # generated types
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = 0, list(inputs), list(outputs)
    made.builtinOptions, made.builtinOptionsType = options, kind
    return made


def reshape(source: int, target: int) -> Any:  # generated types
    options = schema.ReshapeOptionsT()
    options.newShape = [3, 2]
    return operator([source], [target], options, OPTIONS.ReshapeOptions)


def add_one(kind: int = TYPES.FLOAT32, shape: Sequence[int] = (), signature: Sequence[int] = ()) -> bytes:
    tensors = [
        tensor("x", shape, kind, 0, signature),
        tensor("one", (), kind, 1),
        tensor("y", shape, kind, 0, signature),
    ]
    return model(
        tensors,
        [operator([0, 1], [2], schema.AddOptionsT(), OPTIONS.AddOptions)],
        OPS.ADD,
        inputs=[0],
        outputs=[2],
        constants=[ONE],
    )


def passing(kinds: Sequence[str]) -> bytes:
    """A (2, 3) input of each kind, passed on as a (3, 2) output."""
    tensors: list[Any] = []  # generated types
    operators: list[Any] = []  # generated types
    for kind in kinds:
        operators.append(reshape(len(tensors), len(tensors) + 1))
        tensors += [
            tensor(kind.lower(), (2, 3), getattr(TYPES, kind)),
            tensor("out_" + kind.lower(), (3, 2), getattr(TYPES, kind)),
        ]
    numbers = range(len(tensors))
    return model(tensors, operators, OPS.RESHAPE, inputs=numbers[::2], outputs=numbers[1::2])


def found() -> bytes:
    """Where a (4,) condition is true: an output of (n, 1), n known only after the invoke and possibly 0."""
    tensors = [tensor("condition", (4,), TYPES.BOOL), tensor("found", (), TYPES.INT64)]
    where = operator([0], [1], schema.WhereOptionsT(), OPTIONS.WhereOptions)
    return model(tensors, [where], OPS.WHERE, inputs=[0], outputs=[1])


def picking() -> bytes:
    """The value at an index of a table of one: any other index fails while the model runs."""
    tensors = [
        tensor("table", (1,), TYPES.FLOAT32, 1),
        tensor("index", (1,), TYPES.INT32),
        tensor("value", (1,), TYPES.FLOAT32),
    ]
    gather = operator([0, 1], [2], schema.GatherOptionsT(), OPTIONS.GatherOptions)
    return model(tensors, [gather], OPS.GATHER, inputs=[1], outputs=[2], constants=[ONE])


def counting() -> bytes:
    """What it was fed so far, plus one for each invoke: the sum is kept in a variable tensor."""
    tensors = [
        tensor("step", (1, 1, 1), TYPES.FLOAT32),
        tensor("one", (1, 1), TYPES.FLOAT32, 1),
        tensor("bias", (1,), TYPES.FLOAT32, 1),
        tensor("kept", (1, 1), TYPES.FLOAT32),
        tensor("sum", (1, 1, 1), TYPES.FLOAT32),
    ]
    tensors[3].isVariable = True
    rnn = operator([0, 1, 1, 2, 3], [4], schema.SequenceRNNOptionsT(), OPTIONS.SequenceRNNOptions)
    return model(tensors, [rnn], OPS.UNIDIRECTIONAL_SEQUENCE_RNN, inputs=[0], outputs=[4], constants=[ONE])


def edgetpu_digits() -> bytes:
    """What edgetpu_compiler would make of our digits model, as far as its tensors and its one operator's name tell."""
    picture, scores = tensor("picture", (1, 32, 32, 1), TYPES.UINT8), tensor("scores", (1, 10), TYPES.UINT8)
    for one, scale in ((picture, 1 / 255), (scores, 1 / 256)):
        one.quantization = schema.QuantizationParametersT()
        one.quantization.scale, one.quantization.zeroPoint = [scale], [0]
    compiled = operator([0], [1], None, OPTIONS.NONE)
    return model([picture, scores], [compiled], OPS.CUSTOM, inputs=[0], outputs=[1], custom=EDGETPU_OP)


def model(
    tensors: list[Any],  # generated types, here and below
    operators: list[Any],
    code: int,
    *,
    inputs: Sequence[int],
    outputs: Sequence[int],
    constants: Sequence[bytes] = (),
    custom: str | None = None,
) -> bytes:
    graph, opcode, made = schema.SubGraphT(), schema.OperatorCodeT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, list(inputs), list(outputs)
    opcode.builtinCode = opcode.deprecatedBuiltinCode = code
    opcode.customCode = custom
    opcode.version = 1
    made.version, made.subgraphs, made.operatorCodes, made.buffers = 3, [graph], [opcode], [schema.BufferT()]
    for constant in constants:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(constant, np.uint8)
        made.buffers.append(buffer)
    builder = flatbuffers.Builder()
    builder.Finish(made.Pack(builder), b"TFL3")
    return bytes(builder.Output())


MODELS = {
    "all_dtypes": passing(NUMBERS),
    "bfloat16": passing(["BFLOAT16"]),
    "counting": counting(),
    "digits_edgetpu": edgetpu_digits(),
    "found": found(),
    "open_batch": add_one(shape=(1, 4), signature=(-1, 4)),
    "picking": picking(),
    "resource": passing(["RESOURCE"]),
    "scalar": add_one(),
    "text": passing(["STRING"]),
}

if __name__ == "__main__":
    folder = Path(__file__).parent / "models"
    for name, content in MODELS.items():
        (folder / f"{name}.tflite").write_bytes(content)
