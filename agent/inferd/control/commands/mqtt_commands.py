"""What each request over the broker does: the verbs of `wire/requests.py`, in terms of what control can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from inferd import __version__, ipc
from inferd.control.commands.model_commands import ModelCommands
from inferd.control.commands.mqtt_requests import Answer
from inferd.control.commands.remote_snapshot import SnapshotRequest
from inferd.errors import ConfigError
from inferd.wire import requests
from inferd.wire.requests import Arguments, Interval, ModelArguments, Pin, PipelineArguments


@dataclass(frozen=True, slots=True)
class AgentControl:
    """What control lends to requests.

    Attributes:
        status: returns what `inferd status --json` prints.
        send_metrics: sends `metrics` now.
        set_interval: sends them every so many seconds from now on.
        reload: reads the configuration again; returns why it stays as it was, "" where it does not.
        models: serves what is asked of models.
        look: has the worker show the next frame of a pipeline; may raise InferdError.
    """

    status: Callable[[], str]
    send_metrics: Callable[[], None]
    set_interval: Callable[[float], None]
    reload: Callable[[], str]
    models: ModelCommands
    look: Callable[[str], SnapshotRequest]


class MqttCommands:
    """One method for each verb; each returns JSON and may raise InferdError. Owned by control's main thread."""

    def __init__(self, control: AgentControl) -> None:
        """Answer by what control can do."""
        self._control = control
        self.table: dict[str, Answer] = {
            "ping": self.ping,
            "status": self.status,
            "metrics": self.metrics,
            "interval": self.interval,
            "reload": self.reload,
            "models/list": self.models,
            "models/activate": self.activate,
            "models/rollback": self.roll_back,
            "models/pin": self.pin,
            "models/unpin": self.unpin,
            "snapshot": self.snapshot,
        }

    def ping(self, _: Arguments) -> str:
        """Answer that we live."""
        return _json({"version": __version__})

    def status(self, _: Arguments) -> str:
        """Answer what `inferd status --json` prints."""
        return self._control.status()

    def metrics(self, _: Arguments) -> str:
        """Send the figures now, and answer them."""
        self._control.send_metrics()
        return _json(msgspec.json.decode(self._control.status()).get("metrics"))

    def interval(self, asked: Interval) -> str:
        """Send the figures as often as this."""
        self._control.set_interval(asked.interval_s)
        return _json({"interval_s": asked.interval_s})

    def reload(self, _: Arguments) -> str:
        """Read the configuration again."""
        if why := self._control.reload():
            raise ConfigError("reload", f"the old configuration stays in use: {why}")
        return _json({})

    def models(self, _: Arguments) -> str:
        """Answer which models there are."""
        return self._ask("list")

    def activate(self, asked: ModelArguments) -> str:
        """Have a pipeline try a model."""
        return self._ask("activate", asked.pipeline, asked.model)

    def roll_back(self, asked: PipelineArguments) -> str:
        """Have a pipeline use the model it had before."""
        return self._ask("rollback", asked.pipeline)

    def pin(self, asked: Pin) -> str:
        """Have a pipeline keep to a model."""
        return self._ask("pin", asked.pipeline, *([asked.model] if asked.model else []))

    def unpin(self, asked: PipelineArguments) -> str:
        """Have a pipeline follow newer models again."""
        return self._ask("unpin", asked.pipeline)

    def snapshot(self, asked: requests.SnapshotArguments) -> SnapshotRequest:
        """Have a frame shown, which takes a moment."""
        return self._control.look(asked.pipeline)

    def _ask(self, verb: str, *arguments: str) -> str:
        return self._control.models.serve(ipc.AskModels(verb, arguments))


def _json(told: object) -> str:
    return msgspec.json.encode(told).decode()
