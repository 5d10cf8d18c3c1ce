"""Writes the models beside it: a few hundred bytes each, one for each thing that a published model may show.

Run it where ai-edge-litert and flatbuffers are installed: `python tests/runtime/make_models.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers  # type: ignore[import-untyped]  # it ships no types
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from flatbuffers import flexbuffers

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


def operator(
    inputs: Sequence[int], outputs: Sequence[int], options: Any, kind: int, opcode: int = 0
) -> Any:  # generated types
    made = schema.OperatorT()
    made.opcodeIndex, made.inputs, made.outputs = opcode, list(inputs), list(outputs)
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


def bright_cells(classes: int) -> bytes:
    """An SSD in miniature: a 4 x 4 grid looks at a picture of 128 x 128; each bright cell is a box of its own size, class 0.

    Its operators are those of a published SSD's end: `TFLite_Detection_PostProcess` settles the outputs' shapes at load.
    """
    side, cells = 128, 4
    count = cells * cells
    middles = (np.arange(cells, dtype=np.float32) + 0.5) / cells
    y, x = np.meshgrid(middles, middles, indexing="ij")
    size = np.full(count, 1 / cells, np.float32)
    anchors = np.stack((y.ravel(), x.ravel(), size, size), axis=1)
    mean_of_colours = np.zeros((classes, 1, 1, 3), np.float32)
    mean_of_colours[0] = 1 / 3 / 255
    constants = [
        mean_of_colours.tobytes(),
        np.zeros(classes, np.float32).tobytes(),
        np.array([1, count, classes], np.int32).tobytes(),
        np.zeros((1, count, 4), np.float32).tobytes(),
        anchors.astype(np.float32).tobytes(),
    ]
    tensors = [
        tensor("picture", (1, side, side, 3), TYPES.UINT8),
        tensor("as_float", (1, side, side, 3), TYPES.FLOAT32),
        tensor("means", (1, cells, cells, 3), TYPES.FLOAT32),
        tensor("weights", (classes, 1, 1, 3), TYPES.FLOAT32, 1),
        tensor("bias", (classes,), TYPES.FLOAT32, 2),
        tensor("brightness", (1, cells, cells, classes), TYPES.FLOAT32),
        tensor("shape", (3,), TYPES.INT32, 3),
        tensor("scores", (1, count, classes), TYPES.FLOAT32),
        tensor("offsets", (1, count, 4), TYPES.FLOAT32, 4),
        tensor("anchors", (count, 4), TYPES.FLOAT32, 5),
        *(tensor(name, (), TYPES.FLOAT32) for name in ("boxes", "classes", "best", "number")),
    ]
    cast = schema.CastOptionsT()
    cast.inDataType, cast.outDataType = TYPES.UINT8, TYPES.FLOAT32
    pool = schema.Pool2DOptionsT()
    pool.padding = schema.Padding.VALID
    pool.strideW = pool.strideH = pool.filterWidth = pool.filterHeight = side // cells
    mix = schema.Conv2DOptionsT()
    mix.padding, mix.strideW, mix.strideH, mix.dilationWFactor, mix.dilationHFactor = schema.Padding.VALID, 1, 1, 1, 1
    flat = schema.ReshapeOptionsT()
    flat.newShape = [1, count, classes]
    detect = operator([8, 7, 9], [10, 11, 12, 13], None, OPTIONS.NONE, opcode=4)
    detect.customOptions = np.frombuffer(_detection_options(classes), np.uint8)
    operators = [
        operator([0], [1], cast, OPTIONS.CastOptions, opcode=0),
        operator([1], [2], pool, OPTIONS.Pool2DOptions, opcode=1),
        operator([2, 3, 4], [5], mix, OPTIONS.Conv2DOptions, opcode=2),
        operator([5, 6], [7], flat, OPTIONS.ReshapeOptions, opcode=3),
        detect,
    ]
    codes = (OPS.CAST, OPS.AVERAGE_POOL_2D, OPS.CONV_2D, OPS.RESHAPE, OPS.CUSTOM)
    return model(
        tensors,
        operators,
        *codes,
        inputs=[0],
        outputs=[10, 11, 12, 13],
        constants=constants,
        custom="TFLite_Detection_PostProcess",
    )


def _detection_options(classes: int) -> bytes:
    options = {
        "max_detections": 16,
        "max_classes_per_detection": 1,
        "nms_score_threshold": 0.3,
        "nms_iou_threshold": 0.5,
        "num_classes": classes,
        "y_scale": 10.0,
        "x_scale": 10.0,
        "h_scale": 5.0,
        "w_scale": 5.0,
    }
    return bytes(flexbuffers.Dumps(options))


def sums(counts: Sequence[int]) -> bytes:
    """Three inputs and, for each number in `counts`, an output that is the sum of as many of them."""
    tensors = [tensor(name, (2, 3), TYPES.FLOAT32) for name in ("a", "b", "c")]
    operators = []
    for count in counts:
        operators.append(operator(range(count), [len(tensors)], schema.AddNOptionsT(), OPTIONS.AddNOptions))
        tensors.append(tensor(f"sum_{len(operators)}", (2, 3), TYPES.FLOAT32))
    return model(tensors, operators, OPS.ADD_N, inputs=[0, 1, 2], outputs=range(3, len(tensors)))


def unknown_op(name: str) -> bytes:
    """One custom operator that no runtime has."""
    tensors = [tensor("x", (1, 4), TYPES.FLOAT32), tensor("y", (1, 4), TYPES.FLOAT32)]
    return model(tensors, [operator([0], [1], None, OPTIONS.NONE)], OPS.CUSTOM, inputs=[0], outputs=[1], custom=name)


def wrong_dimension() -> bytes:
    """A convolution of which the weights name a dimension for their scales that they do not have."""
    given, weights = tensor("x", (1, 4, 4, 2), TYPES.INT8), tensor("w", (2, 1, 1, 2), TYPES.INT8, 1)
    answer = tensor("y", (1, 4, 4, 2), TYPES.INT8)
    for one, scales in ((given, [0.1]), (weights, [0.1, 0.2]), (answer, [0.1])):
        one.quantization = schema.QuantizationParametersT()
        one.quantization.scale, one.quantization.zeroPoint = scales, [0] * len(scales)
    weights.quantization.quantizedDimension = 7
    bias = tensor("b", (2,), TYPES.INT32, 2)
    mix = schema.Conv2DOptionsT()
    mix.padding, mix.strideW, mix.strideH, mix.dilationWFactor, mix.dilationHFactor = schema.Padding.VALID, 1, 1, 1, 1
    return model(
        [given, weights, bias, answer],
        [operator([0, 1, 2], [3], mix, OPTIONS.Conv2DOptions)],
        OPS.CONV_2D,
        inputs=[0],
        outputs=[3],
        constants=[bytes([1, 2, 3, 4]), bytes(8)],
    )


def model(
    tensors: list[Any],  # generated types, here and below
    operators: list[Any],
    *codes: int,
    inputs: Sequence[int],
    outputs: Sequence[int],
    constants: Sequence[bytes] = (),
    custom: str | None = None,
) -> bytes:
    graph, made = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, graph.inputs, graph.outputs = tensors, operators, list(inputs), list(outputs)
    made.version, made.subgraphs, made.operatorCodes, made.buffers = 3, [graph], [], [schema.BufferT()]
    for code in codes:
        opcode = schema.OperatorCodeT()
        opcode.builtinCode = opcode.deprecatedBuiltinCode = code
        opcode.customCode = custom if code == OPS.CUSTOM else None
        opcode.version = 1
        made.operatorCodes.append(opcode)
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
    "bright_cells": bright_cells(classes=1),
    "bright_cells_of_90": bright_cells(classes=90),
    "counting": counting(),
    "digits_edgetpu": edgetpu_digits(),
    "found": found(),
    "open_batch": add_one(shape=(1, 4), signature=(-1, 4)),
    "passing_float32": passing(["FLOAT32"]),
    "passing_int8": passing(["INT8"]),
    "picking": picking(),
    "resource": passing(["RESOURCE"]),
    "scalar": add_one(),
    "sums": sums((2, 3, 2, 3, 2)),
    "text": passing(["STRING"]),
    "unknown_ethos_u": unknown_op("ethos-u"),
    "unknown_op": unknown_op("fake-op-double"),
    "wrong_dimension": wrong_dimension(),
}

if __name__ == "__main__":
    folder = Path(__file__).parent / "models"
    for name, content in MODELS.items():
        (folder / f"{name}.tflite").write_bytes(content)
