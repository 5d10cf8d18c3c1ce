"""Makes the paths of a configuration absolute: `~` is expanded, the rest is relative to the file that names it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

from msgspec import inspect

KEPT = ("/", "$")  # whole already, or a credential of systemd's
MODEL_ENDINGS = (".tflite", ".onnx")


def absolute_paths(table: dict[str, Any], kind: type, folder: Path) -> dict[str, Any]:  # Any: TOML values
    """Return a table with all values of the types `FilePath` and `ModelName` made absolute.

    Args:
        table: fits `kind`.
        kind: the struct that it is converted to.
        folder: of the file that the table was read from.
    """
    made: dict[str, Any] = _walk(table, _node(kind), folder)
    return made


@cache
def _node(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


def _walk(value: Any, node: inspect.Type, folder: Path) -> Any:  # Any: TOML values
    match node, value:
        case inspect.Metadata(extra={"path": which}), str():
            return _absolute(value, folder) if which is True or _is_model_path(value) else value
        case inspect.Metadata(type=inner), _:
            return _walk(value, inner, folder)
        case inspect.StructType(fields=fields), dict():
            types = {field.encode_name: field.type for field in fields}
            return {key: _walk(one, types[key], folder) if key in types else one for key, one in value.items()}
        case inspect.UnionType(types=types), _:
            tagged = [one for one in types if isinstance(one, inspect.StructType) and one.tag == _kind(value)]
            other = [one for one in types if not isinstance(one, inspect.NoneType | inspect.StructType)]
            return _walk(value, [*tagged, *other, inspect.AnyType()][0], folder)
        case inspect.VarTupleType(item_type=inner), list():
            return [_walk(one, inner, folder) for one in value]
    return value


def _absolute(path: str, folder: Path) -> str:
    if not path or path.startswith(KEPT) or "://" in path:
        return path
    return os.path.join(folder, os.path.expanduser(path))  # noqa: PTH111, PTH118 - a pattern keeps its form


def _is_model_path(text: str) -> bool:
    """Whether a model is named by its path, and not by its name in the drop folder."""
    return os.sep in text or text.endswith(MODEL_ENDINGS)


def _kind(value: object) -> object:
    return value.get("kind") if isinstance(value, dict) else None
