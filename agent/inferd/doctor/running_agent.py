"""What the agent that runs on this device tells of itself, over the socket that commands use."""

from __future__ import annotations

from typing import Any

import msgspec

from inferd import ipc
from inferd.control.commands.control_socket import ask
from inferd.doctor.checks.disk import agent_folder
from inferd.doctor.readers.world import World
from inferd.errors import WorkerError
from inferd.records import Unavailable

QUESTIONS: dict[str, ipc.FromViewer] = {
    "status": ipc.AskStatus(),
    "models": ipc.AskModels("list"),
    "model-log": ipc.AskModels("log"),
}


def told(
    world: World,
) -> dict[str, Any | Unavailable]:  # Any: JSON, as `inferd status` and `inferd models status` print it
    """Return the answer to each question. An agent that leaves one unanswered is asked no more: it may be frozen."""
    answers: dict[str, Any | Unavailable] = {}
    silent: Unavailable | None = None
    for name, question in QUESTIONS.items():
        answers[name] = silent or _told(world, question)
        silent = answers[name] if isinstance(answers[name], Unavailable) else silent
    return answers


def _told(world: World, request: ipc.FromViewer) -> Any | Unavailable:  # Any: JSON
    try:
        answer, _ = ask(agent_folder(world), request)
    except WorkerError as exc:
        return Unavailable(str(exc))
    if not isinstance(answer, ipc.ModelsAnswer) or answer.error:
        return Unavailable(answer.error if isinstance(answer, ipc.ModelsAnswer) else "the agent is of another version")
    return msgspec.json.decode(answer.told)
