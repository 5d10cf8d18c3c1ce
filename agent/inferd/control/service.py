"""The control process: builds, starts, watches, reloads, stops. It never touches a frame, an array or a model.

One thread, one selector: signals, the seed (whose children end), the worker (which speaks). Everything else happens
because a time has come. The links have threads of their own.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.control.children import ChildProcesses
from inferd.control.commands.control_socket import ControlSocket
from inferd.control.commands.model_commands import ModelCommands
from inferd.control.commands.mqtt_commands import AgentControl, MqttCommands
from inferd.control.commands.mqtt_requests import MqttRequests
from inferd.control.commands.remote_snapshot import JPEG_BYTES, SnapshotRequest
from inferd.control.models.drop_folder import DropFolder
from inferd.control.models.engine_keys import names
from inferd.control.models.model_state import PersistentModelState
from inferd.control.models.models import Models
from inferd.control.models.serving import ModelEnvironment
from inferd.control.processes.supervisor import LONGEST_JITTER
from inferd.control.processes.vet_job import circumstances, core_w
from inferd.control.processes.watchdog import Watchdog
from inferd.control.reporting.alerting import Alerting
from inferd.control.reporting.clock_watch import ClockWatch
from inferd.control.reporting.events import EventReporter
from inferd.control.reporting.local_endpoints import LocalEndpoints
from inferd.control.reporting.metrics import MetricsReporter
from inferd.control.reporting.publisher import Publisher
from inferd.errors import ConfigError, WorkerError
from inferd.system import machine
from inferd.system.clock import Clock
from inferd.system.processes.channel import Channel, channel_pair
from inferd.system.processes.fork_server import START_S
from inferd.system.processes.signals import Signals
from inferd.system.sd_notify import Notifier

log = logging.getLogger(__name__)

TURN_S = 0.25  # how often control looks at deadlines when nothing happens
STOP_LINKS_S = 0.4


class Service:
    """The control process's main thread."""

    def __init__(
        self,
        config: settings.Config,
        reread: Callable[[], settings.Config],
        state_dir: Path,
        say: Publisher,
        clock: Clock,
        *,
        reconnect: Callable[[settings.Mqtt], None] | None = None,
        notify_socket: str = "",
        doors: LocalEndpoints | None = None,
        control_dir: Path | None = None,
    ) -> None:
        """Prepare; nothing is started before `run`.

        Args:
            config: what to do.
            reread: gives the configuration as it is now, or raises ConfigError; called on SIGHUP.
            state_dir: where models are kept.
            say: speaks on the broker.
            clock: times everything.
            reconnect: has the link go where these settings say that the broker is; None where there is no link.
            notify_socket: where systemd listens; "" where it does not.
            doors: the ways to this device beside the broker, which `say` speaks to as well.
            control_dir: where the socket for commands is made; None takes the state directory.
        """
        self._config = config
        self._reread = reread
        self._reconnect = reconnect
        self._clock = clock
        folder = Path(config.models.folder) if config.models.folder else state_dir / "models"
        life = PersistentModelState(state_dir, config.models, clock, machine.boot_id())
        drop = DropFolder(folder, config.models, clock)
        self._models = Models(
            ModelEnvironment(life, drop, config.models, circumstances(), clock, core_w(config.metrics))
        )
        self._figures = MetricsReporter(clock, config.metrics, state_dir)
        self._alerting = Alerting(say, self._figures, clock)
        self._timekeeper = ClockWatch(say, clock)
        self._say = say
        self._doors = doors or LocalEndpoints()
        self._watchdog = Watchdog(Notifier(notify_socket), clock)
        self._tell = EventReporter(say, self._models, self._figures, self._watchdog)
        self._children = ChildProcesses(self._models, self._figures, self._tell, config.watch, clock)
        self._control_dir = control_dir or state_dir
        self._commands: ControlSocket | None = None
        self._requests = ModelCommands(self._models)
        answers = MqttCommands(
            AgentControl(
                lambda: self._doors.status().told,
                self._tell.metrics,
                self._set_interval,
                self._reload,
                self._requests,
                self._look,
            )
        )
        self._remote = MqttRequests(say, config.mqtt, clock, answers.table)
        self._stopping = False

    def run(self, *, until_end: bool = False) -> None:
        """Serve until SIGTERM or SIGINT, or, with `until_end`, until every pipeline's input is through."""
        with ExitStack() as stack:
            self._signals = stack.enter_context(Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._selector.register(self._signals, selectors.EVENT_READ)
            stack.callback(self._models.close)
            stack.callback(self._figures.close)
            stack.callback(self._remote.close)
            self._figures.watch("control", os.getpid())
            self._listen(stack)
            self._children.start(self._selector)
            stack.callback(self._children.close)
            self._models.configure(self._config.pipeline)
            self._tell.started(self._config)
            self._alerting.follow(self._config)
            self._doors.follow(self._config, self._figures.basis)
            while not self._stopping and not (until_end and self._tell.all_ended()):
                self._selector.select(TURN_S)
                self._turn()
            self._stop()

    def _listen(self, stack: ExitStack) -> None:
        """Let commands reach us; an agent that cannot be asked still infers."""
        try:
            self._commands = stack.enter_context(closing(ControlSocket(self._control_dir)))
        except WorkerError as exc:
            log.warning("%s", exc)
        else:
            self._selector.register(self._commands, selectors.EVENT_READ)

    def _serve_commands(self) -> None:
        """Answer what was asked on this device, or have the worker answer it."""
        for asked in self._commands.take() if self._commands is not None else ():
            if isinstance(asked.request, ipc.AskModels):
                asked.tell(self._requests.answer(asked.request))
                continue
            if isinstance(asked.request, ipc.AskStatus):
                asked.tell(self._doors.status())
                continue
            try:
                frame = ipc.ShowFrame(self._wanted(asked.request.pipeline), asked.request.drawn)
                self._children.show(frame, asked.connection.fileno())
            except WorkerError as exc:
                asked.refuse(exc.message)
            else:
                asked.connection.close()

    def _wanted(self, pipeline: str) -> str:
        """Return which pipeline is to be looked at; "" is the only one there is.

        Raises:
            WorkerError: there is no such.
        """
        pipelines = names(self._config.pipeline)
        wanted = pipeline or (pipelines[0] if len(pipelines) == 1 else "")
        if wanted not in pipelines:
            raise WorkerError("snapshot", f"name one of its pipelines: {', '.join(pipelines)}")
        return wanted

    def _look(self, pipeline: str) -> SnapshotRequest:
        """Have the worker show control a frame, for who asks over the broker.

        Raises:
            InferdError: that is not allowed, or there is none to be seen.
        """
        if not self._config.mqtt.snapshots:
            raise ConfigError("mqtt.snapshots", "no picture leaves this device over MQTT; true allows it")
        wanted = self._wanted(pipeline)
        if why := self._tell.why_no_frame(wanted):
            raise WorkerError("snapshot", why)
        ours, theirs = channel_pair()
        look = SnapshotRequest(wanted, Channel(ours, ipc.ToViewer), self._clock)  # type: ignore[arg-type]  # a union
        with theirs:
            self._children.show(ipc.ShowFrame(wanted, drawn=False, jpeg_bytes=JPEG_BYTES), theirs.fileno())
        return look

    def _turn(self) -> None:
        """Do everything whose time has come."""
        for number in self._signals.take():
            if number == signal.SIGHUP:
                self._reload()
            else:
                log.info("stopping on %s", number.name)
                self._stopping = True
        self._children.turn()
        self._serve_commands()
        self._figures.tick()
        self._timekeeper.turn()
        self._alerting.turn(self._tell.degraded())
        for incoming in self._say.incoming():
            self._doors.heard(incoming)
            self._remote.heard(incoming)
        self._remote.turn()
        self._say.tell_of_links()
        self._doors.turn()
        if self._tell.metrics_due():
            self._tell.metrics()
        self._feed_watchdog()

    def _feed_watchdog(self) -> None:
        """Tell systemd that we live, if every pipeline infers or is in a named state within its deadline."""
        watch = self._config.watch
        trial_s = (
            START_S + 2 * watch.load_deadline_s + LONGEST_JITTER * watch.restart_max_s
        )  # a vet child, then the worker
        self._watchdog.turn(self._children.deadlines_s(), trial_s)

    def _set_interval(self, interval_s: float) -> None:
        """Report so often, until the configuration is read again."""
        metrics = msgspec.structs.replace(self._config.metrics, interval_s=interval_s)
        self._config = msgspec.structs.replace(self._config, metrics=metrics)
        self._tell.interval_changed(self._config)

    def _reload(self) -> str:
        """Read the configuration again and use it; a bad one changes nothing, and why is told and returned."""
        self._watchdog.reloading()
        try:
            config = self._reread()
        except ConfigError as exc:
            self._tell.config_refused(str(exc))
            self._watchdog.reloaded(f"the old configuration stays in use: {exc}")
            return str(exc)
        self._use(config)
        self._watchdog.reloaded(f"configuration reloaded, {len(config.pipeline)} pipelines")
        return ""

    def _use(self, config: settings.Config) -> None:
        self._config = config
        self._children.configure(config.watch)
        changed = self._models.configure(config.pipeline)
        self._figures.configure(config.metrics)
        self._tell.reloaded(config)
        self._alerting.follow(config)
        self._doors.follow(config, self._figures.basis)
        if self._reconnect is not None:
            self._reconnect(config.mqtt)
        self._children.plan_and_offer(changed)

    def _stop(self) -> None:
        """End the worker, tell what it still had to say, and say goodbye; within 2 s, whatever hangs."""
        self._watchdog.stopping()
        self._tell.stopping()
        self._children.stop()
        self._tell.metrics()
        self._tell.close(STOP_LINKS_S)
