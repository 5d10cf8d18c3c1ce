"""Chooses the engine of a model by its file, if the configuration leaves it open. Pure."""

from __future__ import annotations

import msgspec

from inferd.accelerators.table import by_operators
from inferd.config import settings
from inferd.records import EngineInfo, TensorSpec
from inferd.wire.manifest import ModelDescription, ModelFileFacts

LITERT, ONNX = "litert", "onnx"


def fitting_engine(description: ModelDescription, asked: settings.EngineConfig) -> settings.EngineConfig:
    """Return the engine for a model: as configured, but ONNX files on "onnx", and compiled models on their accelerator.

    Args:
        description: of the model.
        asked: the configuration; its `delegate` is kept.
    """
    if asked.kind != LITERT:
        return asked
    if description.facts.format == ONNX:
        return msgspec.structs.replace(asked, kind=ONNX)
    if not asked.delegate and (accelerator := by_operators(description.facts.custom_ops)):
        return msgspec.structs.replace(asked, delegate=accelerator.name)
    return asked


def with_scales(info: EngineInfo, facts: ModelFileFacts) -> EngineInfo:
    """Return an engine's info, with the scales that only the model file holds (onnxruntime shows none)."""
    in_file = {one.spec.name: one.spec for one in (*facts.inputs, *facts.outputs) if one.spec.quantized}

    def scaled(spec: TensorSpec) -> TensorSpec:
        known = in_file.get(spec.name)
        if known is None or spec.quantized or known.dtype != spec.dtype:
            return spec
        return msgspec.structs.replace(spec, scale=known.scale, zero_point=known.zero_point)

    return msgspec.structs.replace(
        info, inputs=tuple(map(scaled, info.inputs)), outputs=tuple(map(scaled, info.outputs))
    )
