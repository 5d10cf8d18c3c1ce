"""Reads what a .tflite file says about itself, without a runtime. Slots and numbers: `tflite_schema.py`.

Everything that a runtime follows blindly when it loads a model is walked once: buffers, tensors and operators of every
subgraph. That is why a file that was cut off ends here, with its name, and not in a crash of the worker.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from inferd.errors import ModelCutOff, ModelError
from inferd.records import TensorSpec
from inferd.store.formats.bounded_file import ByteSource
from inferd.store.formats.flatbuffer import BEGIN_AGAIN, FlatBuffer, FlatBufferTable, Tables
from inferd.store.formats.flexbuffer import MAX_BYTES, read_integers
from inferd.store.formats.other_formats import HEADER_BYTES, MODEL_MARK, complaint
from inferd.store.formats.tflite_schema import (
    CUSTOM,
    SIGNATURE_KEY,
    TENSOR_TYPES,
    Buffer,
    MetadataSlots,
    Operator,
    OperatorCode,
    Quantization,
    RootTableSlots,
    SubGraph,
    Tensor,
    operator_name,
)
from inferd.wire.manifest import ModelFileFacts, TensorFacts

SCHEMA_VERSION = 3
HEAD_BYTES = 512  # enough to tell a web page or a text from a model
METADATA_NAME = "TFLITE_METADATA"
METADATA_MAX_BYTES = 1 << 20  # label files lie in the zip; ours have 1 kB
MIN_RUNTIME_NAME = "min_runtime_version"
VERSION = re.compile(rb"[0-9]+(\.[0-9]+){1,3}(?!.)", re.DOTALL)
POSTPROCESS = "TFLite_Detection_PostProcess"
NEWEST_OPERATOR = 1 << 12  # numbers are at 209 in 2026; a number beyond this is damage, not progress
CARRIERS = frozenset({"RESHAPE", "QUANTIZE", "DEQUANTIZE", "SQUEEZE"})  # they hand on what another operator made


@dataclass(frozen=True, slots=True)
class TfliteContents:
    """What was read: the facts, and the TFLite metadata as it lies in the file (None where there is none)."""

    facts: ModelFileFacts
    metadata: bytes | None


@dataclass(frozen=True, slots=True)
class GraphOperator:
    """One operator of a graph: its name, the tensor it reads first (-1: none), those it writes, and a detector's classes."""

    name: str
    source: int
    outputs: tuple[int, ...]
    classes: int = 0


def read_tflite(part: str, octets: ByteSource, size: int | None = None) -> TfliteContents:
    """Read a model.

    Args:
        part: the file to name in errors.
        octets: the file.
        size: where the model ends and an appended zip begins; None is the end of the file.

    Raises:
        ModelError: it is no model, damaged, or made to confuse.
    """
    head = octets.read(0, min(octets.size, HEAD_BYTES)) if octets.size else b""
    if wrong := complaint(head, octets.size):
        unfinished = octets.size < HEADER_BYTES or not any(head)
        raise ModelCutOff(part, wrong) if unfinished else ModelError(part, wrong)
    return TfliteReader(FlatBuffer(part, octets, size)).contents()


class TfliteReader:
    """Walks one model. Used once, by one thread."""

    def __init__(self, buffer: FlatBuffer) -> None:
        """Find the lists that everything else points into.

        Raises:
            ModelError: the file is damaged or of another version.
        """
        self._file = buffer
        self._root = root = buffer.root(MODEL_MARK)
        version = root.integer(RootTableSlots.VERSION, "I")
        if version != SCHEMA_VERSION:
            raise ModelError(buffer.part, f"has schema version {version}, not {SCHEMA_VERSION}: damaged; {BEGIN_AGAIN}")
        self._buffers = root.tables(RootTableSlots.BUFFERS)
        self._custom_names: set[str] = set()
        self._operator_names = tuple(self._name_operator(code) for code in root.tables(RootTableSlots.OPERATOR_CODES))
        self._named = {entry.text(MetadataSlots.NAME): entry for entry in root.tables(RootTableSlots.METADATA)}

    def contents(self) -> TfliteContents:
        """Walk the whole model.

        Raises:
            ModelError: the file is damaged or incomplete.
        """
        graphs = self._root.tables(RootTableSlots.SUBGRAPHS)
        if not len(graphs):
            raise self._file.damaged("it holds no graph")
        for buffer in self._buffers:
            self._check_buffer(buffer)
        steps = [self._steps(graph) for graph in graphs]
        metadata = self._named_content(METADATA_NAME)
        facts = self._facts(graphs[0], steps, has_metadata=metadata is not None)
        return TfliteContents(facts, metadata)

    def _facts(
        self, primary: FlatBufferTable, steps: list[list[GraphOperator]], *, has_metadata: bool
    ) -> ModelFileFacts:
        ops = Counter(step.name for graph in steps for step in graph)
        makers = _makers(steps[0])
        tensors = primary.tables(SubGraph.TENSORS)
        outputs = self._indices(primary, SubGraph.OUTPUTS, tensors)
        return ModelFileFacts(
            size_bytes=self._file.size,
            description=self._root.text(RootTableSlots.DESCRIPTION),
            ops=dict(sorted(ops.items())),
            custom_ops=tuple(sorted(self._custom_names & ops.keys())),
            inputs=tuple(TensorFacts(self._spec(tensors[i])) for i in self._indices(primary, SubGraph.INPUTS, tensors)),
            outputs=tuple(TensorFacts(self._spec(tensors[i]), *made_by(i, makers)) for i in outputs),
            signatures=tuple(entry.text(SIGNATURE_KEY) for entry in self._root.tables(RootTableSlots.SIGNATURES)),
            metadata=has_metadata,
            min_runtime=self._min_runtime(),
            classes=max((step.classes for step in steps[0]), default=0),
        )

    def _name_operator(self, entry: FlatBufferTable) -> str:
        # Files from before code 127 fill only the old field, newer ones both; the runtime takes the larger one.
        code = max(entry.integer(OperatorCode.OLD_CODE, "b"), entry.integer(OperatorCode.CODE, "i"))
        if not 0 <= code < NEWEST_OPERATOR:
            raise self._file.damaged(f"there is no operator number {code}")
        if code != CUSTOM:
            return operator_name(code)
        name = entry.text(OperatorCode.CUSTOM_NAME) or "CUSTOM"
        self._custom_names.add(name)
        return name

    def _check_buffer(self, buffer: FlatBufferTable) -> tuple[int, int]:
        begin, length = buffer.span(Buffer.DATA)
        offset, size = buffer.integer(Buffer.OFFSET, "Q"), buffer.integer(Buffer.SIZE, "Q")
        if offset > 1:
            begin, length = offset, size
        if begin + length > self._file.size:
            raise self._file.cut_off(f"weights end at byte {begin + length:,}, the file at byte {self._file.size:,}")
        return begin, length

    def _steps(self, graph: FlatBufferTable) -> list[GraphOperator]:
        tensors = graph.tables(SubGraph.TENSORS)
        for tensor in tensors:
            self._check_tensor(tensor)
        return [self._step(operator, len(tensors)) for operator in graph.tables(SubGraph.OPERATORS)]

    def _check_tensor(self, tensor: FlatBufferTable) -> None:
        buffer = tensor.integer(Tensor.BUFFER, "I")
        if buffer and buffer >= len(self._buffers):
            raise self._file.damaged(f"a tensor names buffer {buffer} of {len(self._buffers)}")
        if min(tensor.integers(Tensor.SHAPE), default=0) < 0:
            raise self._file.damaged(f"tensor {tensor.text(Tensor.NAME)!r} has a negative dimension")

    def _step(self, operator: FlatBufferTable, tensors: int) -> GraphOperator:
        opcode = operator.integer(Operator.OPCODE, "I")
        if opcode >= len(self._operator_names):
            raise self._file.damaged(f"an operator names entry {opcode} of {len(self._operator_names)} operator codes")
        inputs, outputs = operator.integers(Operator.INPUTS), operator.integers(Operator.OUTPUTS)
        self._check_indices(inputs, -1, tensors)  # -1 stands for an input that is left out
        self._check_indices(outputs, 0, tensors)
        name = self._operator_names[opcode]
        classes = self._detection_classes(operator) if name == POSTPROCESS else 0
        return GraphOperator(name, inputs[0] if inputs else -1, outputs, classes)

    def _detection_classes(self, operator: FlatBufferTable) -> int:
        """Return how many classes a detection operator's own options name; 0 if they name none."""
        begin, length = operator.span(Operator.CUSTOM_OPTIONS)
        options = self._file.read(begin, length) if length <= MAX_BYTES else b""
        return max(0, read_integers(options).get("num_classes", 0))

    def _indices(self, graph: FlatBufferTable, slot: int, tensors: Tables) -> tuple[int, ...]:
        indices = graph.integers(slot)
        self._check_indices(indices, 0, len(tensors))
        return indices

    def _check_indices(self, indices: Iterable[int], lowest: int, tensors: int) -> None:
        for index in indices:
            if not lowest <= index < tensors:
                raise self._file.damaged(f"tensor {index} of {tensors} is asked for")

    def _spec(self, tensor: FlatBufferTable) -> TensorSpec:
        name, number = tensor.text(Tensor.NAME), tensor.integer(Tensor.TYPE, "b")
        if not 0 <= number < len(TENSOR_TYPES):
            raise self._file.damaged(f"tensor {name!r} has the unknown type {number}")
        dtype, shape = TENSOR_TYPES[number], tensor.integers(Tensor.SHAPE)
        scale, zero_point = (0.0, 0) if "float" in dtype else self._quantization(name, tensor)
        signature = tensor.integers(Tensor.SHAPE_SIGNATURE) or shape
        return TensorSpec(name, shape, dtype, signature, scale, zero_point)

    def _quantization(self, name: str, tensor: FlatBufferTable) -> tuple[float, int]:
        table = tensor.table(Tensor.QUANTIZATION)
        scales = table.reals(Quantization.SCALE) if table else ()
        if table is None or len(scales) != 1:
            return 0.0, 0
        if not (math.isfinite(scales[0]) and scales[0] >= 0):
            raise self._file.damaged(f"tensor {name!r} has the quantisation scale {scales[0]}")
        zero_points = table.integers(Quantization.ZERO_POINT, "q")
        return scales[0], zero_points[0] if zero_points else 0

    def _min_runtime(self) -> str:
        found = VERSION.match((self._named_content(MIN_RUNTIME_NAME) or b"").rstrip(b"\0"))
        return found[0].decode() if found else ""

    def _named_content(self, name: str) -> bytes | None:
        entry = self._named.get(name)
        if entry is None:
            return None
        index = entry.integer(MetadataSlots.BUFFER, "I")
        if index >= len(self._buffers):
            raise self._file.damaged(f"{name} names buffer {index} of {len(self._buffers)}")
        begin, length = self._check_buffer(self._buffers[index])
        if length > METADATA_MAX_BYTES:
            raise ModelError(
                self._file.part, f"has {length:,} bytes of {name}; more than {METADATA_MAX_BYTES:,} are refused"
            )
        return self._file.read(begin, length)


def made_by(tensor: int, makers: dict[int, GraphOperator]) -> tuple[str, int]:
    """Return the operator that makes a tensor's values, and which of its outputs the tensor is; ("", 0) if none.

    Operators that only pass values on are skipped.
    """
    seen: set[int] = set()
    while (step := makers.get(tensor)) and step.name in CARRIERS and step.source in makers and tensor not in seen:
        seen.add(tensor)
        tensor = step.source
    return (step.name, step.outputs.index(tensor)) if step else ("", 0)


def _makers(steps: list[GraphOperator]) -> dict[int, GraphOperator]:
    return {output: step for step in steps for output in step.outputs}
