"""What each verb of `wire/requests.py` does. Both command channels, MQTT and the local socket, run verbs here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from inferd import __version__
from inferd.control.commands.label_log import LabelLog
from inferd.control.commands.model_commands import ModelCommands
from inferd.control.models.sleeping_pipelines import SleepingPipelines
from inferd.errors import ConfigError, StoreError
from inferd.wire.requests import (
    TABLE,
    Access,
    Arguments,
    Interval,
    LabelArguments,
    PipelineArguments,
    allows,
)

CHANNEL_VERBS = frozenset({"snapshot", "results", "frames"})  # answered by the channels, each in its own way


@dataclass(frozen=True, slots=True)
class AgentControl:
    """What the service lends to commands.

    Attributes:
        status: returns what `inferd status --json` prints.
        send_metrics: sends `metrics` now.
        set_interval: sends them every so many seconds from now on.
        reload: reads the configuration again; returns why it stays as it was, "" where it does not.
        pipelines: returns the names of the configured pipelines.
        now: returns the time, as messages carry it.
        models: runs commands about models.
        sleeping: puts pipelines to sleep.
        labels: where labels are appended.
    """

    status: Callable[[], bytes]
    send_metrics: Callable[[], None]
    set_interval: Callable[[float], None]
    reload: Callable[[], str]
    pipelines: Callable[[], list[str]]
    now: Callable[[], str]
    models: ModelCommands
    sleeping: SleepingPipelines
    labels: LabelLog


class CommandTable:
    """One method for each verb; each may raise InferdError. Owned by control's main thread."""

    def __init__(self, control: AgentControl) -> None:
        """Run verbs by what the service lends."""
        self._control = control
        models = control.models
        self._verbs: dict[str, Callable[[Any], object]] = {  # Any: each verb has arguments of its own
            "ping": self._ping,
            "status": self._status,
            "metrics": self._metrics,
            "interval": self._interval,
            "label": self._label,
            "reload": self._reload,
            "pipeline/sleep": self._sleep,
            "pipeline/wake": self._wake,
            "models/list": lambda _: models.listed(),
            "models/log": lambda _: models.log(),
            "models/activate": lambda asked: models.activate(asked.pipeline, asked.model),
            "models/rollback": lambda asked: models.roll_back(asked.pipeline),
            "models/pin": lambda asked: models.pin(asked.pipeline, asked.model),
            "models/unpin": lambda asked: models.unpin(asked.pipeline),
            "models/release": lambda asked: models.release(asked.model),
            "models/forget": lambda asked: models.forget(asked.model),
        }
        assert self._verbs.keys() | CHANNEL_VERBS == TABLE.keys()  # noqa: S101 - our own fault

    def run(self, verb: str, arguments: Arguments) -> bytes:
        """Carry out a verb that the channels do not answer themselves; return its answer as JSON.

        Raises:
            InferdError: it is not possible; the sentence says why.
        """
        answer = self._verbs[verb](arguments)
        return bytes(answer) if isinstance(answer, msgspec.Raw) else msgspec.json.encode(answer)

    def pipeline(self, name: str) -> str:
        """Return the pipeline that is meant; "" is the only one there is.

        Raises:
            StoreError: there is no such.
        """
        pipelines = self._control.pipelines()
        wanted = name or (pipelines[0] if len(pipelines) == 1 else "")
        if wanted not in pipelines:
            raise StoreError("pipeline", f"name one of its pipelines: {', '.join(pipelines)}")
        return wanted

    def _ping(self, _: Arguments) -> dict[str, str]:
        return {"version": __version__}

    def _status(self, _: Arguments) -> msgspec.Raw:
        return msgspec.Raw(self._control.status())

    def _metrics(self, _: Arguments) -> object:
        self._control.send_metrics()
        return msgspec.json.decode(self._control.status()).get("metrics")

    def _interval(self, asked: Interval) -> dict[str, float]:
        self._control.set_interval(asked.interval_s)
        return {"interval_s": asked.interval_s}

    def _label(self, asked: LabelArguments) -> dict[str, str]:
        self.pipeline(asked.pipeline)
        self._control.labels.append(self._control.now(), asked)
        return {}

    def _reload(self, _: Arguments) -> dict[str, str]:
        if why := self._control.reload():
            raise ConfigError("reload", f"the old configuration stays in use: {why}")
        return {}

    def _sleep(self, asked: PipelineArguments) -> str:
        self._control.sleeping.sleep(name := self.pipeline(asked.pipeline))
        return f"{name} sleeps until it is woken"

    def _wake(self, asked: PipelineArguments) -> str:
        self._control.sleeping.wake(name := self.pipeline(asked.pipeline))
        return f"{name} runs, within its schedule"


def internal(error: Exception) -> str:
    """Return what is answered where a verb failed in a way that was not foreseen."""
    return f"agent: a fault of inferd's own ({type(error).__name__}); its log has the details, please report it"


def why_not_allowed(verb: str, access: Access, where: str) -> str:
    """Return why a verb of the table may not be used; "" where it may. `where` names what gives the access."""
    level = TABLE[verb].level
    return "" if allows(access, level) else f"{where} allows {access!r}, and {verb} needs {level!r}"
