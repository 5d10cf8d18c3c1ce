"""Says in messages, events and log lines what control sees. It decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from inferd import __version__, ipc
from inferd.config import settings
from inferd.config.mqtt import at_start
from inferd.control.accelerators.accelerators import AcceleratorEvent
from inferd.control.models.models import Concluded, Followed, Models, names
from inferd.control.processes.supervisor import Death
from inferd.control.processes.vet_job import Accepted
from inferd.control.processes.watchdog import Teller, Watchdog
from inferd.control.reporting.metrics import MetricsReporter
from inferd.control.reporting.publisher import Publisher
from inferd.records import PipelineState
from inferd.store.lifecycle.state import LogKind, LogLine
from inferd.system import machine
from inferd.telemetry.rollup import EVERY_S, LEAST_BYTES, DayBudget, thin
from inferd.wire import telemetry, topics

log = logging.getLogger(__name__)

SEVERITIES: dict[LogKind, telemetry.Severity] = {
    "model.refused": "error",
    "model.doubtful": "warning",
    "model.rolled_back": "warning",
    "model.quarantined": "error",
    "model.kept": "warning",
}
LEVELS: dict[telemetry.Severity, int] = {
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
TWIN_SERVES = "its CPU twin serves"
NOTHING_SERVES = "it has no CPU twin, so nothing serves"
# By the kind of news: event, severity, and what is said besides.
ACCELERATOR: dict[str, tuple[telemetry.EventKind, telemetry.Severity, str]] = {
    "failed": ("accelerator.failed", "warning", ""),
    "mending": ("accelerator.mending", "warning", ""),
    "wedged": (
        "accelerator.wedged",
        "error",
        "nothing that can be done from here helps; see to its cable, power and heat",
    ),
    "back": ("accelerator.back", "info", "its accelerator works again"),
}
EVENT_OF: dict[PipelineState, tuple[telemetry.EventKind, telemetry.Severity]] = {
    "running": ("pipeline.running", "info"),
    "degraded": ("pipeline.degraded", "warning"),
    "failed": ("pipeline.failed", "error"),
    "ended": ("pipeline.ended", "info"),
}


AT_START = ("device", "state_dir", "log_level")  # what is read once, beside most of [mqtt]


class EventReporter:
    """Owned by control's main thread."""

    def __init__(self, say: Publisher, models: Models, figures: MetricsReporter, watchdog: Watchdog) -> None:
        self._say = say
        self._models = models
        self._figures = figures
        self._watchdog = watchdog
        self._config = settings.Config()
        self._states: dict[str, PipelineState] = {}
        self._logged: dict[str, tuple[PipelineState, str]] = {}
        self._kept: frozenset[str] = frozenset()
        self._without: set[str] = set()
        self._runtime: telemetry.RuntimeInfo | None = None
        self._budget = DayBudget()
        self._budgeted_bytes = 0

    def started(self, config: settings.Config) -> None:
        """Tell who we are and what is to run."""
        self._configured(config)
        self._say.event("agent.started", "info", f"inferd starts with {len(config.pipeline)} pipelines")

    def reloaded(self, config: settings.Config) -> None:
        """Tell that a new configuration is in use; pipelines that are gone leave no retained word behind."""
        for name in set(names(self._config.pipeline)) - set(names(config.pipeline)):
            del self._states[name]
            self._figures.forget(name)
            self._watchdog.forget(name)
            self._say.forget(name)
        told = f"{len(config.pipeline)} pipelines"
        later = [name for name in AT_START if getattr(config, name) != getattr(self._config, name)]
        later += at_start(self._config.mqtt, config.mqtt)
        if later:
            told += f"; {' and '.join(later)} changed too, which takes effect at the next start"
        self._configured(config)
        log.info("configuration reloaded: %s", told)
        self._say.event("config.reloaded", "warning" if later else "info", f"configuration reloaded: {told}")

    def reports_otherwise(self, config: settings.Config) -> None:
        """Tell that figures come in another interval; nothing else is new."""
        self._config = config
        self._info()

    def config_refused(self, why: str) -> None:
        """Tell that a new configuration is wrong and the old one stays in use."""
        log.error("configuration not reloaded: %s", why)
        self._say.event("config.refused", "error", why)

    def _configured(self, config: settings.Config) -> None:
        self._config = config
        self._kept = frozenset(pipeline.name for pipeline in config.pipeline if pipeline.report.keep)
        self._info()
        for name in names(config.pipeline):
            if name not in self._states:
                self._say.say(topics.MODEL, telemetry.idle_model("loading", "its model is being tried"), name)
                self._state(name, "waiting", "its model is being tried", "trial")

    def verdict(self, concluded: Concluded) -> None:
        """Tell what a vet child found."""
        one, verdict = concluded.followed, concluded.verdict
        if isinstance(verdict, Accepted):
            if concluded.changed:
                log.info("model accepted: %s for %s", verdict.description.ref.title, ", ".join(names(one.pipelines)))
            return
        if verdict.again:
            return
        error = verdict.error
        for name in names(one.pipelines):
            if one.accepted is None:
                self._say.say(topics.MODEL, telemetry.idle_model("refused", str(error), error.part), name)
                self._state(name, "failed", f"its model was refused: {error}")

    def news(self, lines: Sequence[LogLine]) -> None:
        """Tell the steps of models' lives."""
        for line in lines:
            severity: telemetry.Severity = SEVERITIES.get(line.kind, "info")
            why = ": ".join(filter(None, (line.model, line.why)))
            log.log(logging.WARNING if severity != "info" else logging.INFO, "%s: %s", line.kind, why)
            one = self._models.followed.get(line.key)
            for name in names(one.pipelines) if one else [""]:
                self._say.event(line.kind, severity, why, name, line.model)
                if one is not None and one.accepted is None and severity == "error":
                    self._state(name, "failed", why)

    def without(self, keys: Sequence[Followed]) -> None:
        """Tell which pipelines wait for a model that nobody has dropped yet."""
        for one in keys:
            for name in names(one.pipelines):
                if self._states.get(name) == "waiting" and name not in self._without:
                    self._without.add(name)
                    self._state(name, "waiting", "there is no model for it yet; copy one into the drop folder")

    def accelerator(self, news: AcceleratorEvent) -> None:
        """Tell what happened to the accelerator of an engine key."""
        one = self._models.followed.get(news.key)
        if one is None or news.kind == "ready":
            return
        kind, severity, told = ACCELERATOR[news.kind]
        serves = "" if news.kind == "back" else TWIN_SERVES if news.twin_serves else NOTHING_SERVES
        sentence = "; ".join(filter(None, (news.why, told, serves)))
        log.log(LEVELS[severity], "%s: %s", kind, sentence)
        for name in names(one.pipelines):
            self._say.event(kind, severity, sentence, name, self._title(news.key))
            if news.kind == "failed" and not news.twin_serves:
                self._say.say(topics.MODEL, telemetry.idle_model("refused", news.why), name)
                self._state(name, "failed", news.why, "worker")

    def worker_replaced(self, why: str) -> None:
        """Tell that the worker ended because another takes its place."""
        self._figures.worker_ended()
        log.info("worker replaced: %s", why)

    def heard(self, message: ipc.FromWorker) -> None:  # noqa: C901 - a flat table of what may be said
        """Pass on what the worker said."""
        match message:
            case ipc.ResultReported():
                if not self._config.metrics.metered and message.pipeline in names(self._config.pipeline):
                    self._say.result(message, self._task_of(message.pipeline), kept=message.pipeline in self._kept)
            case ipc.Counts():
                self._figures.add(message)
                self._watchdog.counted(message)
            case ipc.Status():
                self._state(message.pipeline, message.state, message.why, "worker")
            case ipc.Settled():
                if not self._config.metrics.metered and message.pipeline in names(self._config.pipeline):
                    self._say.settled(message.pipeline, message.answer)
            case ipc.OfferTaken():
                self._taken(message)
            case ipc.OfferRefused():
                self._not_loaded(message)
            case ipc.PipelineFault():
                log.warning("%s: %s: %s", message.pipeline, message.kind, message.why)
                self._say.event("source.failed", "warning", message.why, message.pipeline)
            case ipc.Stopped():
                for name in message.stuck:
                    log.error("the thread %r did not end in time and was left behind", name)

    def no_worker(self, why: str) -> None:
        """Tell that nothing can run for now."""
        for name in names(self._config.pipeline):
            self._state(name, "waiting", why)

    def worker_started(self, pid: int) -> None:
        """Tell that there is a worker."""
        log.info("worker started as process %d", pid)
        self._say.event("worker.started", "info", f"the worker runs as process {pid}", pid=pid)

    def memory_tight(self, size_mb: float, limit_mb: float) -> None:
        """Tell that the worker comes near the memory it may have."""
        why = f"the worker takes {size_mb:.0f} MB; it is replaced beyond {limit_mb:.0f} MB (watch.memory_max_mb)"
        log.warning("%s", why)
        self._say.event("worker.tight", "warning", why, size_mb=round(size_mb, 1), limit_mb=round(limit_mb, 1))

    def worker_ended(self, kind: telemetry.EventKind, death: Death, pause_s: float) -> None:
        """Tell how the worker ended, which models were at work, and when there will be another."""
        self._figures.worker_ended()
        titles = " and ".join(self._title(key) for key in death.blamed)
        at_work = f" while {titles} was at work" if titles else ""
        left = "" if death.reaped else "; the kernel does not let it go, and what it holds stays taken"
        why = f"the worker ended: {death.how}{at_work}{left}; another starts in {pause_s:.1f} s"
        log.error("%s", why)
        self._say.event(kind, "error", why, model=titles)
        for one in self._models.accepted():
            for name in names(one.pipelines):
                self._state(name, "waiting", why)

    def metrics_due(self) -> bool:
        """Whether it is time to tell the figures."""
        metrics = self._config.metrics
        return self._figures.due(EVERY_S if metrics.metered else metrics.interval_s)

    def metrics(self) -> None:
        """Tell the figures since the last time; on a metered line as much of them as the day has room for."""
        body = self._figures.report(self._say.dropped())
        if not self._config.metrics.metered:
            self._say.say(topics.METRICS, body)
            return
        now_s = self._figures.now_s
        self._budget.spend(self._say.sent_bytes - self._budgeted_bytes, now_s)
        room_bytes = self._budget.rollup_bytes(now_s)
        self._budgeted_bytes = self._say.sent_bytes
        if room_bytes >= LEAST_BYTES and (short := thin(body, room_bytes)) is not None:
            self._say.say(topics.ROLLUP, short)
            self._budgeted_bytes = self._say.sent_bytes

    def degraded(self) -> set[str]:
        """Return the pipelines that run otherwise than they were meant to."""
        return {name for name, state in self._states.items() if state == "degraded"}

    def unseen(self, pipeline: str) -> str:
        """Return why there is no frame of a pipeline to be seen now; "" where there is."""
        state, why = self._logged.get(pipeline, ("waiting", ""))
        return "" if state in ("running", "degraded") else f"{pipeline} is {state}{f': {why}' if why else ''}"

    def stopping(self) -> None:
        """Tell that we are about to end."""
        self._say.event("agent.stopping", "info", "inferd stops")

    def close(self, timeout_s: float) -> None:
        """Send what waits and say goodbye."""
        self._say.close(timeout_s)
        log.info("inferd stopped")

    def all_ended(self) -> bool:
        """Whether nothing more is to be expected of any pipeline."""
        return all(state in ("ended", "failed") for state in self._states.values())

    def _taken(self, taken: ipc.OfferTaken) -> None:
        one = self._models.followed.get(taken.engine_key)
        if one is None or one.accepted is None:
            return
        info = taken.info
        took_ms = info.load_ms + info.warmup_ms
        log.info(
            "model active: %s, loaded in %.0f ms, loop paused for %.2f ms", taken.ref.title, took_ms, taken.pause_ms
        )
        if info.warning:
            log.warning("model active: %s: %s", taken.ref.name, info.warning)
        if self._runtime is None:
            self._runtime = telemetry.RuntimeInfo(info.runtime, info.runtime_version, info.numpy_version)
            self._info()
        for name in names(one.pipelines):
            labels = one.accepted.description.labels
            model = telemetry.active_model(taken.ref, info, self._task_of(name), labels, taken.degraded)
            self._say.say(topics.MODEL, model, name)
            self._say.event("model.active", "info", f"{taken.ref.title} serves", name, taken.ref.name)
            self._figures.engine_taken(name, swapped=taken.swapped)
            self._watchdog.taken(name, taken.ref.title)

    def _not_loaded(self, refused: ipc.OfferRefused) -> None:
        log.error("model refused by the worker: %s", refused.why)
        one = self._models.followed.get(refused.engine_key)
        for name in names(one.pipelines) if one else ():
            self._say.event("model.refused", "error", refused.why, name, refused.ref.name)

    def _state(self, pipeline: str, state: PipelineState, why: str, by: Teller = "control") -> None:
        if pipeline not in names(self._config.pipeline):
            return  # the last words of a pipeline that is no longer configured
        if self._states.get(pipeline) != state and state in EVENT_OF:
            self._say.event(*EVENT_OF[state], why or f"{pipeline} is {state}", pipeline)
        if self._logged.get(pipeline) != (state, why):
            self._logged[pipeline] = (state, why)
            log.info("%s is %s%s", pipeline, state, f": {why}" if why else "")
        self._states[pipeline] = state
        self._watchdog.said(pipeline, state, why, by)
        self._say.status(pipeline, state, why)

    def _info(self) -> None:
        here = machine.describe()
        info = telemetry.Info(
            version=__version__,
            python=here.python,
            machine=here.architecture,
            os=here.os,
            board=here.board,
            runtime=self._runtime,
            metrics_interval_s=self._config.metrics.interval_s,
            pipelines={pipeline.name: self._pipeline_info(pipeline) for pipeline in self._config.pipeline},
            unavailable=self._figures.unavailable(),
        )
        self._say.say(topics.INFO, info)

    def _pipeline_info(self, pipeline: settings.Pipeline) -> telemetry.PipelineInfo:
        one = self._models.of_pipeline(pipeline.name)
        task = one.accepted.description.manifest.model.task if one and one.accepted else None
        return telemetry.PipelineInfo(settings.kind_of(pipeline.source), task, pipeline.model)

    def _title(self, key: str) -> str:
        one = self._models.followed.get(key)
        return one.accepted.description.ref.title if one and one.accepted else key

    def _task_of(self, pipeline: str) -> str:
        one = self._models.of_pipeline(pipeline)
        return (one.accepted.description.manifest.model.task if one and one.accepted else None) or "raw"
