"""Reports what control observes, as messages, events and log lines. It decides nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence

from msgspec.structs import replace

from inferd import __version__, ipc
from inferd.config import settings
from inferd.config.mqtt import at_start
from inferd.control.accelerators.fallback_and_recovery import AcceleratorEvent
from inferd.control.models.engine_keys import EngineKey, names
from inferd.control.models.models import Models
from inferd.control.models.persistent_model_state import DiskEvent
from inferd.control.models.vetting import Concluded
from inferd.control.processes.supervisor import Death
from inferd.control.processes.vet_job import Accepted
from inferd.control.processes.watchdog import StateSource, Watchdog
from inferd.control.reporting.label_names import unknown_labels
from inferd.control.reporting.metrics import MetricsReporter
from inferd.control.reporting.publisher import Publisher
from inferd.records import LabelSummary, PipelineState
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
FALLBACK_SERVES = "its CPU fallback serves"
NOTHING_SERVES = "it has no CPU fallback, so nothing serves"
# By the kind of accelerator event: our event, its severity, a sentence to add.
ACCELERATOR: dict[str, tuple[telemetry.EventKind, telemetry.Severity, str]] = {
    "failed": ("accelerator.failed", "warning", ""),
    "mending": ("accelerator.mending", "warning", ""),
    "wedged": (
        "accelerator.wedged",
        "error",
        "no recovery step helped; check its cable, power and temperature",
    ),
    "back": ("accelerator.back", "info", "its accelerator works again"),
}
EVENT_OF: dict[PipelineState, tuple[telemetry.EventKind, telemetry.Severity]] = {
    "running": ("pipeline.running", "info"),
    "degraded": ("pipeline.degraded", "warning"),
    "failed": ("pipeline.failed", "error"),
    "ended": ("pipeline.ended", "info"),
    "sleeping": ("pipeline.sleeping", "info"),
}


AT_START = ("device", "state_dir", "log_level")  # keys that are read at start only, as most of [mqtt]


class EventReporter:
    """Owned by control's main thread."""

    def __init__(
        self,
        publisher: Publisher,
        models: Models,
        figures: MetricsReporter,
        watchdog: Watchdog,
        on_settled: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`on_settled` is called with the name of a pipeline whose settled answer changed."""
        self._on_settled = on_settled
        self._publisher = publisher
        self._models = models
        self._figures = figures
        self._watchdog = watchdog
        self._config = settings.Config()
        self._states: dict[str, PipelineState] = {}
        self._logged: dict[str, tuple[PipelineState, str]] = {}
        self._kept: frozenset[str] = frozenset()
        self._reported_without: set[str] = set()
        self._reported_labels: set[tuple[str, str]] = set()
        self._runtime: telemetry.RuntimeInfo | None = None
        self._budget = DayBudget()
        self._budgeted_bytes = 0

    def started(self, config: settings.Config) -> None:
        """Report the start: device, version and pipelines."""
        self.configure(config)
        self._publisher.event("agent.started", "info", f"inferd starts with {len(config.pipeline)} pipelines")

    def reloaded(self, before: settings.Config, config: settings.Config) -> None:
        """Report that a new configuration is in use in place of the one before."""
        summary = f"{len(config.pipeline)} pipelines"
        later = [name for name in AT_START if getattr(config, name) != getattr(before, name)]
        later += at_start(before.mqtt, config.mqtt)
        if later:
            summary += f"; {' and '.join(later)} changed too, which takes effect at the next start"
        log.info("configuration reloaded: %s", summary)
        self._publisher.event("config.reloaded", "warning" if later else "info", f"configuration reloaded: {summary}")

    def interval_changed(self, config: settings.Config) -> None:
        """Report that metrics are sent at another interval; nothing else has changed."""
        self._config = config
        self._info()

    def config_refused(self, why: str) -> None:
        """Report that a new configuration is refused and the old one stays in use."""
        log.error("configuration not reloaded: %s", why)
        self._publisher.event("config.refused", "error", why)

    def configure(self, config: settings.Config) -> None:
        """Report pipelines that are new, and clear what the broker retains of those that are gone."""
        for name in self._states.keys() - set(names(config.pipeline)):
            del self._states[name]
            self._figures.forget(name)
            self._watchdog.forget(name)
            self._publisher.clear_retained(name)
        self._config = config
        self._kept = frozenset(pipeline.name for pipeline in config.pipeline if pipeline.report.keep)
        self._info()
        for name in names(config.pipeline):
            if name not in self._states:
                self._publisher.send(topics.MODEL, telemetry.idle_model("loading", "its model is being tried"), name)
                self._set_state(name, "waiting", "its model is being tried", "trial")

    def vetting_concluded(self, concluded: Concluded) -> None:
        """Report what a vet child found."""
        one, verdict = concluded.key, concluded.verdict
        if isinstance(verdict, Accepted):
            if concluded.changed:
                log.info("model accepted: %s for %s", verdict.description.ref.title, ", ".join(one.names))
            return
        if verdict.again:
            return
        error = verdict.error
        for name in one.names:
            if one.selected is None:
                self._publisher.send(topics.MODEL, telemetry.idle_model("refused", str(error), error.part), name)
                self._set_state(name, "failed", f"its model was refused: {error}")

    def lifecycle(self, lines: Sequence[LogLine]) -> None:
        """Report the steps of model lifecycles."""
        for line in lines:
            severity: telemetry.Severity = SEVERITIES.get(line.kind, "info")
            why = ": ".join(filter(None, (line.model, line.why)))
            log.log(logging.WARNING if severity != "info" else logging.INFO, "%s: %s", line.kind, why)
            one = self._models.keys.get(line.key)
            for name in one.names if one else [""]:
                self._publisher.event(line.kind, severity, why, name, line.model)
                if one is not None and one.selected is None and severity == "error":
                    self._set_state(name, "failed", why)

    def without_model(self, keys: Sequence[EngineKey]) -> None:
        """Report which pipelines wait for a model that has not been dropped yet."""
        for one in keys:
            for name in one.names:
                if self._states.get(name) == "waiting" and name not in self._reported_without:
                    self._reported_without.add(name)
                    self._set_state(
                        name, "waiting", "there is no model for it yet; copy one into the drop folder", "person"
                    )

    def check_labels(self) -> None:
        """Report names in the configuration that are no labels of the models that serve now, each once."""
        served = {
            name: one.selected.description for one in self._models.keys.selected() if one.selected for name in one.names
        }
        labels = {name: description.labels for name, description in served.items() if description.labels}
        unknown = unknown_labels(self._config, labels)
        for name, why in unknown:
            if (name, why) not in self._reported_labels:
                log.warning("%s: %s", name or "configuration", why)
                self._publisher.event("model.doubtful", "warning", why, name, served[name].ref.title if name else "")
        self._reported_labels = set(unknown)

    def waiting(self, keys: Sequence[EngineKey]) -> None:
        """Report which pipelines wait because the disk refuses a model, and why."""
        for one in keys:
            for name in one.names:
                if self._logged.get(name) != ("waiting", one.retry_why):
                    self._set_state(name, "waiting", one.retry_why, "person")

    def disk(self, events: Sequence[DiskEvent]) -> None:
        """Report that the disk refuses what the store writes, and that it works again."""
        for event in events:
            severity: telemetry.Severity = "error" if event.failed else "info"
            log.log(LEVELS[severity], "store: %s", event.why)
            self._publisher.event("disk.failed" if event.failed else "disk.recovered", severity, event.why)

    def accelerator(self, event: AcceleratorEvent) -> None:
        """Report what happened to the accelerator of an engine key."""
        one = self._models.keys.get(event.key)
        if one is None or event.kind == "ready":
            return
        kind, severity, told = ACCELERATOR[event.kind]
        serves = "" if event.kind == "back" else FALLBACK_SERVES if event.fallback_serves else NOTHING_SERVES
        sentence = "; ".join(filter(None, (event.why, told, serves)))
        log.log(LEVELS[severity], "%s: %s", kind, sentence)
        for name in one.names:
            self._publisher.event(kind, severity, sentence, name, self._title(event.key))
            if event.kind == "failed" and not event.fallback_serves:
                self._publisher.send(topics.MODEL, telemetry.idle_model("refused", event.why), name)
                self._set_state(name, "failed", event.why, "worker")

    def worker_replaced(self, why: str) -> None:
        """Report that the worker ended to be replaced."""
        self._figures.worker_ended()
        log.info("worker replaced: %s", why)

    def sleeping(self, pipelines: Collection[str]) -> None:
        """Report which of these pipelines fell asleep, and which woke."""
        for name in sorted(pipelines):
            why = self._models.sleeping.why(name)
            self._set_state(name, "sleeping" if why else "waiting", why or "it wakes", "control" if why else "trial")
            if why and (answer := self._figures.answer(name)) is not None:
                self._clear(name, answer)

    def _clear(self, pipeline: str, answer: LabelSummary) -> None:
        """Publish that nothing is there: the last answer must not stand while nobody looks. Totals of lines stay."""
        cleared = replace(answer, counts={}, zones=dict.fromkeys(answer.zones, 0))
        self._figures.settled(pipeline, cleared)
        if not self._config.metrics.metered:
            self._publisher.settled_state(pipeline, cleared)

    def handle_message(self, message: ipc.FromWorker) -> None:
        """Report what the worker reported."""
        match message:
            case ipc.ResultReported():
                self._result_reported(message)
            case ipc.Counts():
                self._figures.add(message)
                self._watchdog.counted(message)
            case ipc.Status():
                self._set_state(message.pipeline, message.state, message.why, "worker")
            case ipc.Settled():
                self._settled(message)
            case ipc.OfferTaken():
                self._model_loaded(message)
            case ipc.OfferRefused():
                self._not_loaded(message)
            case ipc.PipelineFault():
                log.warning("%s: %s: %s", message.pipeline, message.kind, message.why)
                self._publisher.event("source.failed", "warning", message.why, message.pipeline)
            case ipc.Stopped():
                for name in message.stuck:
                    log.error("the thread %r did not end in time and was left behind", name)

    def _result_reported(self, message: ipc.ResultReported) -> None:
        if message.pipeline in names(self._config.pipeline):
            self._figures.result(message.pipeline, message.tick.result)
            task, kept = self._task_of(message.pipeline), message.pipeline in self._kept
            self._publisher.result(message, task, kept=kept, metered=self._config.metrics.metered)

    def _settled(self, message: ipc.Settled) -> None:
        if message.pipeline not in names(self._config.pipeline):
            return
        self._figures.settled(message.pipeline, message.answer)
        if not self._config.metrics.metered:
            self._on_settled(message.pipeline)
            self._publisher.settled_state(message.pipeline, message.answer)

    def no_worker(self, why: str) -> None:
        """Report that no worker can run for now."""
        for name in names(self._config.pipeline):
            self._set_state(name, "waiting", why)

    def worker_started(self, pid: int) -> None:
        """Report that a worker runs."""
        log.info("worker started as process %d", pid)
        self._publisher.event("worker.started", "info", f"the worker runs as process {pid}", pid=pid)

    def memory_tight(self, size_mb: float, limit_mb: float) -> None:
        """Report that the worker nears its memory limit."""
        why = f"the worker takes {size_mb:.0f} MB; it is replaced beyond {limit_mb:.0f} MB (watch.memory_max_mb)"
        log.warning("%s", why)
        self._publisher.event("worker.tight", "warning", why, size_mb=round(size_mb, 1), limit_mb=round(limit_mb, 1))

    def worker_ended(self, kind: telemetry.EventKind, death: Death, pause_s: float) -> None:
        """Report how the worker ended, which models were at work, and when the next one starts."""
        self._figures.worker_ended()
        titles = " and ".join(self._title(key) for key in death.blamed)
        at_work = f" while {titles} was at work" if titles else ""
        left = "" if death.reaped else "; the kernel does not let it go, and what it holds stays taken"
        why = f"the worker ended: {death.how}{at_work}{left}; another starts in {pause_s:.1f} s"
        log.error("%s", why)
        self._publisher.event(kind, "error", why, model=titles)
        for one in self._models.keys.selected():
            for name in one.names:
                self._set_state(name, "waiting", why)

    def metrics_due(self) -> bool:
        """Whether metrics are due."""
        metrics = self._config.metrics
        return self._figures.due(EVERY_S if metrics.metered else metrics.interval_s)

    def metrics(self) -> None:
        """Send metrics for the last interval; on a metered line as many as the day's budget allows."""
        body = self._figures.report(self._publisher.dropped())
        if not self._config.metrics.metered:
            self._publisher.send(topics.METRICS, body)
            return
        now_s = self._figures.now_s
        self._budget.spend(self._publisher.sent_bytes - self._budgeted_bytes, now_s)
        room_bytes = self._budget.rollup_bytes(now_s)
        self._budgeted_bytes = self._publisher.sent_bytes
        if room_bytes >= LEAST_BYTES and (short := thin(body, room_bytes)) is not None:
            self._publisher.send(topics.ROLLUP, short)
            self._budgeted_bytes = self._publisher.sent_bytes

    def degraded(self) -> set[str]:
        """Return the pipelines that run otherwise than they were meant to."""
        return {name for name, state in self._states.items() if state == "degraded"}

    def why_no_frame(self, pipeline: str) -> str:
        """Return why there is no frame of a pipeline to be seen now; "" where there is."""
        state, why = self._logged.get(pipeline, ("waiting", ""))
        return "" if state in ("running", "degraded") else f"{pipeline} is {state}{f': {why}' if why else ''}"

    def stopping(self) -> None:
        """Report that the agent is about to end."""
        self._publisher.event("agent.stopping", "info", "inferd stops")

    def close(self, timeout_s: float) -> None:
        """Send what waits, then disconnect."""
        self._publisher.close(timeout_s)
        log.info("inferd stopped")

    def all_ended(self) -> bool:
        """Whether every pipeline has ended or failed."""
        return all(state in ("ended", "failed") for state in self._states.values())

    def _model_loaded(self, loaded: ipc.OfferTaken) -> None:
        one = self._models.keys.get(loaded.engine_key)
        if one is None or one.selected is None:
            return
        info = loaded.info
        took_ms = info.load_ms + info.warmup_ms
        log.info(
            "model active: %s, loaded in %.0f ms, loop paused for %.2f ms", loaded.ref.title, took_ms, loaded.pause_ms
        )
        if info.warning:
            log.warning("model active: %s: %s", loaded.ref.name, info.warning)
        if self._runtime is None:
            self._runtime = telemetry.RuntimeInfo(info.runtime, info.runtime_version, info.numpy_version)
            self._info()
        for name in one.names:
            labels = one.selected.description.labels
            model = telemetry.active_model(loaded.ref, info, self._task_of(name), labels, loaded.degraded)
            self._publisher.send(topics.MODEL, model, name)
            self._publisher.event("model.active", "info", f"{loaded.ref.title} serves", name, loaded.ref.name)
            self._figures.engine_taken(name, swapped=loaded.swapped)
            self._watchdog.taken(name, loaded.ref.title)

    def _not_loaded(self, refused: ipc.OfferRefused) -> None:
        log.error("model refused by the worker: %s", refused.why)
        one = self._models.keys.get(refused.engine_key)
        for name in one.names if one else ():
            self._publisher.event("model.refused", "error", refused.why, name, refused.ref.name)

    def _set_state(self, pipeline: str, state: PipelineState, why: str, by: StateSource = "control") -> None:
        if pipeline not in names(self._config.pipeline):
            return  # a late message of a pipeline that is no longer configured
        if self._models.sleeping.why(pipeline) and state != "sleeping":
            return  # a late message of the worker, or word of a worker that it does not need
        if self._states.get(pipeline) != state and state in EVENT_OF:
            self._publisher.event(*EVENT_OF[state], why or f"{pipeline} is {state}", pipeline)
        if self._logged.get(pipeline) != (state, why):
            self._logged[pipeline] = (state, why)
            log.info("%s is %s%s", pipeline, state, f": {why}" if why else "")
        self._states[pipeline] = state
        self._watchdog.said(pipeline, state, why, by)
        self._publisher.status(pipeline, state, why)

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
        self._publisher.send(topics.INFO, info)

    def _pipeline_info(self, pipeline: settings.Pipeline) -> telemetry.PipelineInfo:
        one = self._models.keys.of_pipeline(pipeline.name)
        task = one.selected.description.manifest.model.task if one and one.selected else None
        return telemetry.PipelineInfo(settings.kind_of(pipeline.source), task, pipeline.model)

    def _title(self, key: str) -> str:
        one = self._models.keys.get(key)
        return one.selected.description.ref.title if one and one.selected else key

    def _task_of(self, pipeline: str) -> str:
        one = self._models.keys.of_pipeline(pipeline)
        return (one.selected.description.manifest.model.task if one and one.selected else None) or "raw"
