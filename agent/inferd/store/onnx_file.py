"""Reads what an .onnx file says about itself, without a runtime. Numbers of fields: onnx.proto3 of the ONNX project.

ONNX has no place for labels, normalisation or quantisation that converters agree on, so a manifest says those.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from inferd.errors import ModelError
from inferd.records import TensorSpec
from inferd.store.octets import Octets
from inferd.store.protobuf import Message
from inferd.wire.manifest import FileFacts, TensorFacts

SUFFIX = ".onnx"
NODES_MAX = 100_000

# ModelProto
IR_VERSION, PRODUCER, PRODUCER_VERSION, DOC, GRAPH, OPSETS = 1, 2, 3, 6, 7, 8
# GraphProto
NODES, INITIALIZERS, INPUTS, OUTPUTS = 1, 5, 11, 12
# NodeProto
NODE_OUTPUTS, OP_TYPE, NODE_INPUTS, NODE_DOMAIN = 2, 4, 1, 7
# TensorProto, OperatorSetIdProto
TENSOR_NAME, DATA_LOCATION, OPSET_VERSION = 8, 14, 2
# ValueInfoProto → TypeProto → its tensor type → TensorShapeProto → its dimensions
NAME, TYPE, TENSOR_TYPE, ELEMENT, SHAPE, DIMENSION, LENGTH = 1, 2, 1, 1, 2, 1, 1

STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
EXTERNAL = 1
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


def read_onnx(part: str, octets: Octets) -> FileFacts:
    """Read a model.

    Args:
        part: the file to name in errors.
        octets: the file.

    Raises:
        ModelError: it is no model, damaged, or keeps its weights elsewhere.
    """
    if octets.size < 3 or not BEGINS.fullmatch(octets.read(0, 3)):  # noqa: PLR2004 - as many as the pattern takes
        raise ModelError(part, "is not an ONNX model; check that the right file was copied")
    model = Message(part, octets, 0, octets.size)
    graph = model.message(GRAPH)
    if graph is None:
        raise ModelError(part, "holds no graph, so it is no ONNX model; check that the right file was copied")
    stored = _stored(part, graph)
    nodes = _nodes(part, graph)
    ops = Counter(op for op, _, _, _ in nodes)
    custom = {op for op, domain, _, _ in nodes if domain not in STANDARD_DOMAINS}
    makers = {name: index for index, (_, _, _, outputs) in enumerate(nodes) for name in outputs}
    outputs = tuple(_end(part, one) for one in graph.messages(OUTPUTS))
    return FileFacts(
        size_bytes=octets.size,
        description=_description(model),
        ops=dict(ops),
        custom_ops=tuple(sorted(custom)),
        inputs=tuple(
            TensorFacts(spec) for one in graph.messages(INPUTS) if (spec := _end(part, one)).name not in stored
        ),
        outputs=tuple(TensorFacts(spec, _made_by(spec.name, makers, nodes)) for spec in outputs),
        signatures=(),
        metadata=False,
        min_runtime="",
        format="onnx",
    )


Node = tuple[str, str, tuple[str, ...], tuple[str, ...]]
"""Operator, domain, names of inputs, names of outputs."""


def _nodes(part: str, graph: Message) -> list[Node]:
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


def _stored(part: str, graph: Message) -> set[str]:
    """Return the names of the weights; old files list them among the inputs too.

    Raises:
        ModelError: some lie in another file.
    """
    names = set()
    for tensor in graph.messages(INITIALIZERS):
        if tensor.number(DATA_LOCATION) == EXTERNAL:
            raise ModelError(
                part, "keeps its weights in another file, which inferd does not follow; save it as one file"
            )
        names.add(tensor.text(TENSOR_NAME))
    return names


def _end(part: str, value: Message) -> TensorSpec:
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


def _lengths(shape: Message | None) -> Iterator[int]:
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


def _description(model: Message) -> str:
    opsets = [opset.number(OPSET_VERSION) for opset in model.messages(OPSETS)]
    maker = f"{model.text(PRODUCER)} {model.text(PRODUCER_VERSION)}".strip()
    told = [model.text(DOC).strip(), f"made by {maker}" if maker else "", f"opset {opsets[0]}" if opsets else ""]
    return "; ".join(filter(None, told))
