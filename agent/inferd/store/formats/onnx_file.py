"""Reads what an .onnx file says about itself, without a runtime. Numbers of fields: onnx.proto3 of the ONNX project.

ONNX has no place for labels and normalisation that converters agree on, so a manifest says those. An 8-bit input or output
stands for real numbers where the graph turns it into them at once (DequantizeLinear, QuantizeLinear), per tensor.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from inferd.errors import ModelError
from inferd.records import TensorSpec
from inferd.store.formats.bounded_file import ByteSource
from inferd.store.formats.protobuf import ProtobufMessage
from inferd.wire.manifest import ModelFileFacts, TensorFacts

SUFFIX = ".onnx"
NODES_MAX = 100_000

# ModelProto
IR_VERSION, PRODUCER, PRODUCER_VERSION, DOC, GRAPH, OPSETS, METADATA = 1, 2, 3, 6, 7, 8, 14
# StringStringEntryProto
KEY, VALUE = 1, 2
# GraphProto
NODES, INITIALIZERS, INPUTS, OUTPUTS = 1, 5, 11, 12
# NodeProto
NODE_OUTPUTS, OP_TYPE, NODE_INPUTS, NODE_DOMAIN = 2, 4, 1, 7
# TensorProto, OperatorSetIdProto
TENSOR_NAME, DATA_LOCATION, OPSET_VERSION = 8, 14, 2
ELEMENT_TYPE, FLOATS, WHOLES, RAW = 2, 4, 5, 9
# ValueInfoProto → TypeProto → its tensor type → TensorShapeProto → its dimensions
NAME, TYPE, TENSOR_TYPE, ELEMENT, SHAPE, DIMENSION, LENGTH = 1, 2, 1, 1, 2, 1, 1

STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
EXTERNAL = 1
FLOAT_BYTES = 4
TURNS = ("DequantizeLinear", "QuantizeLinear")
# TensorProto.DataType, from 0; those behind are for weights only
DTYPES = (
    *("unknown", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "text", "bool", "float16", "float64"),
    *("uint32", "uint64", "complex64", "complex128", "bfloat16"),
)
# What TensorFlow Lite calls the same operators, so that one rule reads both kinds of file.
TFLITE_NAMES = {
    "Softmax": "SOFTMAX",
    "Sigmoid": "LOGISTIC",
    "LogSoftmax": "LOG_SOFTMAX",
    "Gemm": "FULLY_CONNECTED",
    "MatMul": "FULLY_CONNECTED",
    "Add": "ADD",
    "Conv": "CONV_2D",
    "ArgMax": "ARG_MAX",
}
CARRIERS = frozenset(
    {"Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast", "QuantizeLinear", "DequantizeLinear"}
)  # they hand on what another operator made
BEGINS = re.compile(rb"\x08[\x01-\x7f](?s:.)")  # the IR version comes first, whoever wrote the file


def read_onnx(part: str, octets: ByteSource) -> ModelFileFacts:
    """Read a model.

    Args:
        part: the file to name in errors.
        octets: the file.

    Raises:
        ModelError: it is no model, damaged, or keeps its weights elsewhere.
    """
    if octets.size < 3 or not BEGINS.fullmatch(octets.read(0, 3)):  # noqa: PLR2004 - as many as the pattern takes
        raise ModelError(part, "is not an ONNX model; check that the right file was copied")
    model = ProtobufMessage(part, octets, 0, octets.size)
    graph = model.message(GRAPH)
    if graph is None:
        raise ModelError(part, "holds no graph, so it is no ONNX model; check that the right file was copied")
    stored = _stored(part, graph)
    nodes = _nodes(part, graph)
    scales = _scales(nodes, stored)
    ops = Counter(op for op, _, _, _ in nodes)
    custom = {op for op, domain, _, _ in nodes if domain not in STANDARD_DOMAINS}
    makers = {name: index for index, (_, _, _, outputs) in enumerate(nodes) for name in outputs}
    inputs = tuple(_end(part, one) for one in graph.messages(INPUTS))
    outputs = tuple(_end(part, one) for one in graph.messages(OUTPUTS))
    return ModelFileFacts(
        size_bytes=octets.size,
        description=_description(model),
        ops=dict(ops),
        custom_ops=tuple(sorted(custom)),
        inputs=tuple(TensorFacts(_scaled(spec, scales)) for spec in inputs if spec.name not in stored),
        outputs=tuple(TensorFacts(_scaled(spec, scales), _made_by(spec.name, makers, nodes)) for spec in outputs),
        signatures=(),
        metadata=False,
        min_runtime="",
        format="onnx",
    )


def read_onnx_names(part: str, octets: ByteSource) -> str:
    """Return the class names that Ultralytics writes into a model, as it wrote them; "" if there are none.

    Raises:
        ModelError: the file is damaged.
    """
    entries = ProtobufMessage(part, octets, 0, octets.size).messages(METADATA)
    return next((entry.text(VALUE) for entry in entries if entry.text(KEY) == "names"), "")


Node = tuple[str, str, tuple[str, ...], tuple[str, ...]]
"""Operator, domain, names of inputs, names of outputs."""


def _nodes(part: str, graph: ProtobufMessage) -> list[Node]:
    nodes = []
    for node in graph.messages(NODES):
        nodes.append(
            (
                node.text(OP_TYPE),
                node.text(NODE_DOMAIN),
                tuple(node.texts(NODE_INPUTS)),
                tuple(node.texts(NODE_OUTPUTS)),
            )
        )
        if len(nodes) > NODES_MAX:
            raise ModelError(part, f"has more than {NODES_MAX:,} operators, which no board of this class runs")
    return nodes


def _stored(part: str, graph: ProtobufMessage) -> dict[str, ProtobufMessage]:
    """Return the weights by name; old files list them among the inputs too.

    Raises:
        ModelError: some lie in another file.
    """
    stored = {}
    for tensor in graph.messages(INITIALIZERS):
        if tensor.number(DATA_LOCATION) == EXTERNAL:
            raise ModelError(
                part, "keeps its weights in another file, which inferd does not follow; save it as one file"
            )
        stored[tensor.text(TENSOR_NAME)] = tensor
    return stored


def _scales(nodes: Sequence[Node], stored: Mapping[str, ProtobufMessage]) -> dict[str, tuple[float, int]]:
    """Return scale and zero point of each tensor that a node turns into real numbers, or makes of them, per tensor."""
    scales = {}
    for op, _, inputs, outputs in nodes:
        if op not in TURNS or len(inputs) < 2 or inputs[1] not in stored:  # noqa: PLR2004 - the tensor and its scale
            continue
        scale = _one_float(stored[inputs[1]])
        zero_point = _one_whole(stored[inputs[2]]) if inputs[2:] and inputs[2] in stored else 0
        if scale is not None and zero_point is not None:
            scales[(inputs if op == "DequantizeLinear" else outputs)[0]] = scale, zero_point
    return scales


def _one_float(tensor: ProtobufMessage) -> float | None:
    """Return the number in a float32 tensor that holds only one."""
    content = tensor.content(RAW) or tensor.content(FLOATS)
    return float(struct.unpack("<f", content)[0]) if len(content) == FLOAT_BYTES else None


def _one_whole(tensor: ProtobufMessage) -> int | None:
    """Return the number in an 8-bit tensor that holds only one."""
    content = tensor.content(RAW)
    if len(content) == 1:
        return int.from_bytes(content, signed=DTYPES[tensor.number(ELEMENT_TYPE) or 0] == "int8")
    return tensor.number(WHOLES) if not content else None


def _scaled(spec: TensorSpec, scales: Mapping[str, tuple[float, int]]) -> TensorSpec:
    scale, zero_point = scales.get(spec.name, (0.0, 0))
    return msgspec.structs.replace(spec, scale=scale, zero_point=zero_point)


def _end(part: str, value: ProtobufMessage) -> TensorSpec:
    """Return what is said of an input or output; an open dimension counts as 1.

    Raises:
        ModelError: it is no tensor.
    """
    name, kind = value.text(NAME), value.message(TYPE)
    tensor = kind.message(TENSOR_TYPE) if kind else None
    if tensor is None:
        raise ModelError(part, f"has an end {name!r} that is no tensor (a list or a table); convert it without that")
    signature = tuple(_lengths(tensor.message(SHAPE)))
    element = tensor.number(ELEMENT) or 0
    dtype = DTYPES[element] if 0 <= element < len(DTYPES) else DTYPES[0]
    return TensorSpec(name, tuple(abs(length) for length in signature), dtype, signature)


def _lengths(shape: ProtobufMessage | None) -> Iterator[int]:
    for dimension in shape.messages(DIMENSION) if shape else ():
        length = dimension.number(LENGTH)
        yield length if length is not None and length >= 0 else -1


def _made_by(name: str, makers: dict[str, int], nodes: Sequence[Node]) -> str:
    """Return the operator that makes a tensor, those that only hand it on skipped, in TensorFlow Lite's spelling."""
    op = ""
    for _ in range(len(nodes)):  # a loop in a hostile graph ends here
        if name not in makers:
            break
        op, _, inputs, _ = nodes[makers[name]]
        if op not in CARRIERS or not inputs:
            break
        name = inputs[0]
    return TFLITE_NAMES.get(op, op)


def _description(model: ProtobufMessage) -> str:
    opsets = [opset.number(OPSET_VERSION) for opset in model.messages(OPSETS)]
    maker = f"{model.text(PRODUCER)} {model.text(PRODUCER_VERSION)}".strip()
    told = [model.text(DOC).strip(), f"made by {maker}" if maker else "", f"opset {opsets[0]}" if opsets else ""]
    return "; ".join(filter(None, told))
