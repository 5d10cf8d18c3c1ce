"""Finds the model that each pipeline would run: at its path, by its name in the drop folder, or the newest that lies there."""

from __future__ import annotations

import os

from msgspec.structs import replace

from inferd.config import settings
from inferd.doctor.checks.storage import DROP, state_folder
from inferd.doctor.readers.world import World
from inferd.store.description.bundle import SUFFIXES
from inferd.store.drop_folder.items import Item, find_items
from inferd.store.drop_folder.scan import TooManyEntries, look


def pipelines_with_models(world: World) -> tuple[settings.Pipeline, ...]:
    """Return the pipelines with the path of the model in place of its name; without any model yet, a pipeline is left out."""
    dropped = _dropped(world)
    found = (replace(one, model=_path(world, one, dropped)) for one in world.pipelines)
    return tuple(one for one in found if one.model)


def drop_folder(world: World) -> str:
    """Return where models are dropped, as this machine calls it."""
    return world.configured.models.folder or f"{state_folder(world)}/{DROP}"


def _path(world: World, pipeline: settings.Pipeline, dropped: tuple[Item, ...]) -> str:
    model = pipeline.model
    if os.sep in model or model.endswith(SUFFIXES) or pipeline.engine.kind == "fake":
        return model
    named = [item for item in dropped if model in ("", item.followed)]
    if named:
        newest = max(named, key=lambda item: max(entry.mtime_ns for _, entry in item.files))
        return f"{drop_folder(world)}/{newest.path}"
    return f"{drop_folder(world)}/{model}" if model else ""


def _dropped(world: World) -> tuple[Item, ...]:
    try:
        return tuple(find_items(look(world.at(drop_folder(world)))).items.values())
    except (OSError, TooManyEntries):
        return ()
