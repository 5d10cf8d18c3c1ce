"""Says how a model is run where the configuration leaves it open: by what its file is. Pure."""

from __future__ import annotations

import msgspec

from inferd.config import settings
from inferd.wire.manifest import ModelDescription

LITERT, ONNX = "litert", "onnx"
EDGETPU, EDGETPU_OP = "edgetpu", "edgetpu-custom-op"


def fitting_engine(description: ModelDescription, asked: settings.Engine) -> settings.Engine:
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
