"""What a file alone tells of wrong answers to come: kinds of weights that an old runtime takes and computes wrongly.

tflite-runtime 2.14 runs int4 weights and per-channel dynamic-range FULLY_CONNECTED without an error and gives chance
accuracy, or a segfault; the files say operator version 1 and minimum runtime 1.5.0, so no version tells (measured
November 2026, ai-edge-quantizer's defaults). Newer runtimes are right.
"""

from __future__ import annotations

from pathlib import Path

from inferd.store.formats.appended_zip import find_archive
from inferd.store.formats.bounded_file import ModelFile
from inferd.store.formats.flatbuffer import FlatBuffer, FlatBufferTable, Tables
from inferd.store.formats.other_formats import MODEL_MARK
from inferd.store.formats.tflite_schema import (
    BUILTIN_OPERATORS,
    TENSOR_TYPES,
    Operator,
    OperatorCode,
    Quantization,
    RootTableSlots,
    SubGraph,
    Tensor,
)

FULLY_CONNECTED = BUILTIN_OPERATORS.index("FULLY_CONNECTED")
PACKED = {"int4", "uint4", "int2"}


def hazards(model: Path) -> tuple[str, ...]:
    """Return in words what an old runtime computes wrongly in a .tflite file.

    Raises:
        ModelError: it is damaged.
    """
    with ModelFile(model) as file:
        archive = find_archive(file)
        root = FlatBuffer(file.name, file, archive.begins if archive else None).root(MODEL_MARK)
        layers = {
            index
            for index, one in enumerate(root.tables(RootTableSlots.OPERATOR_CODES))
            if max(one.integer(OperatorCode.OLD_CODE, "b"), one.integer(OperatorCode.CODE, "i")) == FULLY_CONNECTED
        }
        found: set[str] = set()
        for graph in root.tables(RootTableSlots.SUBGRAPHS):
            tensors = graph.tables(SubGraph.TENSORS)
            found |= {f"{kind} weights" for tensor in tensors if (kind := _kind(tensor)) in PACKED}
            for operator in graph.tables(SubGraph.OPERATORS):
                if operator.integer(Operator.OPCODE, "I") in layers and _is_mixed(operator, tensors):
                    found.add("per-channel dynamic-range FULLY_CONNECTED weights")
    return tuple(sorted(found))


def _is_mixed(operator: FlatBufferTable, tensors: Tables) -> bool:
    """Whether int8 weights with a scale for each channel meet float activations.

    A damaged layer is not: what is wrong with it is the runtime's to say.
    """
    inputs = [tensors[index] for index in operator.integers(Operator.INPUTS)[:2] if 0 <= index < len(tensors)]
    if len(inputs) < 2:  # noqa: PLR2004 - activations and weights
        return False
    activations, weights = inputs
    table = weights.table(Tensor.QUANTIZATION)
    channels = len(table.reals(Quantization.SCALE)) if table else 0
    return _kind(activations) == "float32" and _kind(weights) == "int8" and channels > 1


def _kind(tensor: FlatBufferTable) -> str:
    number = tensor.integer(Tensor.TYPE, "b")
    return TENSOR_TYPES[number] if 0 <= number < len(TENSOR_TYPES) else ""
