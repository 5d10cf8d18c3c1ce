"""What the agent that runs on this device tells of itself, over the socket that commands use."""

from __future__ import annotations

from typing import Any

import msgspec

from inferd.control.commands.local_client import ask
from inferd.doctor.checks.storage import agent_folder
from inferd.doctor.readers.world import World
from inferd.errors import WorkerError
from inferd.records import Unavailable

VERBS = {"status": "status", "models": "models/list", "model-log": "models/log"}  # by the name of their file


def told(
    world: World,
) -> dict[str, Any | Unavailable]:  # Any: JSON, as `inferd status` and `inferd models status` print it
    """Return the answer to each question. An agent that leaves one unanswered is asked no more: it may be frozen."""
    answers: dict[str, Any | Unavailable] = {}
    silent: Unavailable | None = None
    for name, verb in VERBS.items():
        answers[name] = silent or _told(world, verb)
        silent = answers[name] if isinstance(answers[name], Unavailable) else silent
    return answers


def _told(world: World, verb: str) -> Any | Unavailable:  # Any: JSON
    try:
        return msgspec.json.decode(ask(agent_folder(world), verb))
    except (WorkerError, msgspec.MsgspecError) as exc:
        return Unavailable(str(exc))
