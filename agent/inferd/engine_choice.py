"""Says how a model is run where the configuration or the runtime leaves it open: by what its file is. Pure."""

from __future__ import annotations

import msgspec

from inferd.config import settings
from inferd.records import EngineInfo, TensorSpec
from inferd.wire.manifest import ModelDescription, ModelFileFacts

LITERT, ONNX = "litert", "onnx"
EDGETPU, EDGETPU_OP = "edgetpu", "edgetpu-custom-op"


def fitting_engine(description: ModelDescription, asked: settings.EngineConfig) -> settings.EngineConfig:
    """Return the engine for a model: as asked for, but ONNX files on "onnx", and Edge TPU models on an Edge TPU.

    Args:
        description: of the model.
        asked: the configuration; a `delegate` that it names is kept.
    """
    if asked.kind != LITERT:
        return asked
    if description.facts.format == ONNX:
        return msgspec.structs.replace(asked, kind=ONNX)
    if not asked.delegate and EDGETPU_OP in description.facts.custom_ops:
        return msgspec.structs.replace(asked, delegate=EDGETPU)
    return asked


def with_scales(info: EngineInfo, facts: ModelFileFacts) -> EngineInfo:
    """Return what an engine tells, with the scales that only the file tells (onnxruntime does not)."""
    told = {one.spec.name: one.spec for one in (*facts.inputs, *facts.outputs) if one.spec.quantized}

    def scaled(spec: TensorSpec) -> TensorSpec:
        known = told.get(spec.name)
        if known is None or spec.quantized or known.dtype != spec.dtype:
            return spec
        return msgspec.structs.replace(spec, scale=known.scale, zero_point=known.zero_point)

    return msgspec.structs.replace(
        info, inputs=tuple(map(scaled, info.inputs)), outputs=tuple(map(scaled, info.outputs))
    )
