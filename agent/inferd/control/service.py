"""The control process: builds, starts, supervises, reloads, stops. It never touches a frame, an array or a model.

One thread, one selector: signals, the fork server (children's exits), the worker (its messages), the local sockets.
Everything else happens because it is due. The links have threads of their own.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.config.mqtt import request_access
from inferd.control.children import ChildProcesses
from inferd.control.commands.command_table import AgentControl, CommandTable
from inferd.control.commands.label_log import LabelLog
from inferd.control.commands.local_channel import LocalChannel
from inferd.control.commands.model_commands import ModelCommands
from inferd.control.commands.mqtt_channel import MqttChannel
from inferd.control.commands.snapshot_request import SnapshotRequest
from inferd.control.commands.stale_topics import StaleTopics
from inferd.control.models.drop_folder import DropFolder
from inferd.control.models.engine_keys import names
from inferd.control.models.models import Models
from inferd.control.models.persistent_model_state import PersistentModelState
from inferd.control.models.select_serving import ModelEnvironment
from inferd.control.processes.supervisor import LONGEST_JITTER
from inferd.control.processes.vet_job import circumstances, core_w
from inferd.control.processes.watchdog import Watchdog
from inferd.control.reporting.alerting import Alerting
from inferd.control.reporting.clock_watch import ClockWatch
from inferd.control.reporting.events import EventReporter
from inferd.control.reporting.images import ImagePublisher
from inferd.control.reporting.local_endpoints import LocalEndpoints
from inferd.control.reporting.metrics import MetricsReporter
from inferd.control.reporting.publisher import Publisher
from inferd.errors import ConfigError, InferdError, WorkerError
from inferd.system import machine
from inferd.system.clock import Clock
from inferd.system.processes.channel import Channel, channel_pair
from inferd.system.processes.fork_server import START_S
from inferd.system.processes.waitable_signals import Signals
from inferd.system.sd_notify import Notifier
from inferd.wire.telemetry import iso_time

log = logging.getLogger(__name__)

TURN_S = 0.25  # how often control looks at deadlines when nothing happens
BUSY_TURN_S = 0.02  # while a local client waits for a frame
STOP_LINKS_S = 0.4
RELOAD_S = 1.0  # at least, between two reloads by SIGHUP


class Service:
    """The control process's main thread."""

    def __init__(
        self,
        config: settings.Config,
        reread: Callable[[], settings.Config],
        state_dir: Path,
        publisher: Publisher,
        clock: Clock,
        *,
        reconnect: Callable[[settings.Mqtt], None] | None = None,
        notify_socket: str = "",
        endpoints: LocalEndpoints | None = None,
        control_dir: Path | None = None,
    ) -> None:
        """Prepare; nothing is started before `run`.

        Args:
            config: what to do.
            reread: gives the configuration as it is now, or raises ConfigError; called on SIGHUP.
            state_dir: where models are kept.
            publisher: publishes over the links.
            clock: times everything.
            reconnect: connects the link to the broker of these settings; None where there is no link.
            notify_socket: where systemd listens; "" where it does not.
            endpoints: HTTP, Home Assistant and local subscribers, which `publisher` publishes to as well.
            control_dir: where the socket for commands is made; None takes the state directory.
        """
        self._config = config
        self._reread = reread
        self._reconnect = reconnect
        self._clock = clock
        folder = Path(config.models.folder) if config.models.folder else state_dir / "models"
        state = PersistentModelState(state_dir, config.models, clock, machine.boot_id())
        drop_folder = DropFolder(folder, config.models, clock)
        self._models = Models(
            ModelEnvironment(state, drop_folder, config.models, circumstances(), clock, core_w(config.metrics))
        )
        self._metrics = MetricsReporter(clock, config.metrics, state_dir)
        self._alerting = Alerting(publisher, self._metrics, clock)
        self._clock_watch = ClockWatch(publisher, clock)
        self._publisher = publisher
        self._stale_topics = StaleTopics(publisher, config.mqtt.prefix)
        self._endpoints = endpoints or LocalEndpoints(clock)
        self._watchdog = Watchdog(Notifier(notify_socket), clock)
        self._images = ImagePublisher(publisher, self._request_frame, clock)
        self._events = EventReporter(publisher, self._models, self._metrics, self._watchdog, self._images.settled)
        self._children = ChildProcesses(self._models, self._metrics, self._events, config.watch, clock)
        self._control_dir = control_dir or state_dir
        table = CommandTable(
            AgentControl(
                status=self._endpoints.status,
                send_metrics=self._events.metrics,
                set_interval=self._set_interval,
                reload=self._reload,
                pipelines=lambda: names(self._config.pipeline),
                now=lambda: iso_time(clock.wall_s()),
                models=ModelCommands(self._models),
                sleeping=self._models.sleeping,
                labels=LabelLog(state_dir),
            )
        )
        self._local = LocalChannel(table, self._endpoints.results, self._request_frame, clock)
        self._mqtt = MqttChannel(publisher, config.mqtt, clock, table, self._request_frame)
        self._stopping = self._reload_due = False
        self._reloaded_ns = -int(RELOAD_S * 1e9)

    def run(self, *, until_end: bool = False) -> None:
        """Serve until SIGTERM or SIGINT, or, with `until_end`, until every pipeline's input is through."""
        with ExitStack() as stack:
            self._signals = stack.enter_context(Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._selector.register(self._signals, selectors.EVENT_READ)
            stack.callback(self._models.close)
            stack.callback(self._metrics.close)
            stack.callback(self._mqtt.close)
            stack.callback(self._local.close)
            stack.callback(self._images.close)
            self._metrics.watch("control", os.getpid())
            self._local.listen(self._control_dir, self._selector)
            self._children.start(self._selector)
            stack.callback(self._children.close)
            with applying(self._config):
                self._models.configure(self._config.pipeline)
                self._events.started(self._config)
                _log_access(self._config.mqtt)
                self._alerting.follow(self._config)
                self._images.configure(self._config.pipeline)
                self._endpoints.configure(self._config, self._metrics.basis)
            while not self._stopping and not (until_end and self._events.all_ended()):
                self._selector.select(BUSY_TURN_S if self._local.busy else TURN_S)
                self._turn()
            self._stop()

    def _request_frame(self, pipeline: str, drawn: bool, jpeg_bytes: int) -> SnapshotRequest:  # noqa: FBT001 - a callback
        """Ask the worker for the next frame of a pipeline, as a JPEG of at most so many bytes, or as a PNG for 0.

        Raises:
            WorkerError: there is none to be had.
        """
        if why := self._events.why_no_frame(pipeline):
            raise WorkerError("snapshot", why)
        ours, theirs = channel_pair()
        channel: Channel[ipc.FrameReply, ipc.Stop] = Channel(ours, ipc.FrameReply)  # type: ignore[arg-type]  # a union
        with theirs:
            self._children.show(ipc.ShowFrame(pipeline, drawn, jpeg_bytes), theirs.fileno())
        return SnapshotRequest(pipeline, channel, self._clock)

    def _turn(self) -> None:
        """Do everything whose time has come."""
        for number in self._signals.take():
            if number == signal.SIGHUP:
                self._reload_due = True
            else:
                log.info("stopping on %s", number.name)
                self._stopping = True
        if self._reload_due and self._clock.monotonic_ns() - self._reloaded_ns > RELOAD_S * 1e9:
            self._reload()
        self._children.turn()
        self._local.turn()
        self._metrics.tick()
        self._clock_watch.turn()
        self._alerting.turn(self._events.degraded(), self._models.sleeping.names())
        for incoming in self._publisher.incoming():
            self._endpoints.handle(incoming)
            self._stale_topics.handle(incoming, names(self._config.pipeline))
            self._mqtt.handle(incoming)
        self._mqtt.turn()
        self._images.turn()
        self._publisher.report_link_events()
        self._endpoints.turn()
        if self._events.metrics_due():
            self._events.metrics()
        self._feed_watchdog()

    def _feed_watchdog(self) -> None:
        """Feed systemd's watchdog if every pipeline infers, or is in a named state, within its deadline."""
        watch = self._config.watch
        trial_s = (
            START_S + 2 * watch.load_deadline_s + LONGEST_JITTER * watch.restart_max_s
        )  # a vet child, then the worker
        self._watchdog.turn(self._children.deadlines_s(), trial_s)

    def _set_interval(self, interval_s: float) -> None:
        """Send metrics this often, until the configuration is read again."""
        metrics = msgspec.structs.replace(self._config.metrics, interval_s=interval_s)
        self._config = msgspec.structs.replace(self._config, metrics=metrics)
        self._events.interval_changed(self._config)

    def _reload(self) -> str:
        """Read the configuration again and use it; a bad one changes nothing, and the reason is reported and returned."""
        self._reloaded_ns, self._reload_due = self._clock.monotonic_ns(), False
        self._watchdog.reloading()
        try:
            config = self._reread()
        except ConfigError as exc:
            return self._refuse_reload(str(exc))
        except Exception as exc:  # whatever a file holds must not end an agent that runs
            log.exception("the configuration cannot be read")
            return self._refuse_reload(f"the configuration cannot be read ({_named(exc)})")
        before = self._config
        try:
            self._use(config)
        except Exception as exc:  # the same: what no check foresaw
            log.exception("the configuration cannot be applied")
            self._use(before)
            return self._refuse_reload(f"the configuration cannot be applied ({_named(exc)})")
        self._events.reloaded(before, config)
        self._watchdog.reloaded(f"configuration reloaded, {len(config.pipeline)} pipelines")
        return ""

    def _refuse_reload(self, why: str) -> str:
        self._events.config_refused(why)
        self._watchdog.reloaded(f"the old configuration stays in use: {why}")
        return why

    def _use(self, config: settings.Config) -> None:
        """Apply a configuration; where that raises, applying the one before again undoes it."""
        self._children.configure(config.watch)
        self._children.deadlines_s()  # raises here, before anything else is changed
        self._metrics.configure(config.metrics)
        self._alerting.follow(config)
        self._images.configure(config.pipeline)
        self._endpoints.configure(config, self._metrics.basis)
        self._mqtt.configure(config.mqtt)
        if self._reconnect is not None:
            self._reconnect(config.mqtt)
        changed = self._models.configure(config.pipeline)
        self._events.configure(config)
        self._config = config
        self._children.plan_and_offer(changed)
        self._events.check_labels()

    def _stop(self) -> None:
        """End the worker, report its last messages, and disconnect; within 2 s, whatever hangs."""
        self._watchdog.stopping()
        self._events.stopping()
        self._children.stop()
        self._events.metrics()
        self._events.close(STOP_LINKS_S)


@contextmanager
def applying(config: settings.Config) -> Iterator[None]:
    """Turn what no check of the configuration foresaw into a ConfigError: starting again would not help.

    Raises:
        ConfigError: something in the configuration cannot be used.
    """
    try:
        yield
    except (InferdError, OSError):  # a sentence already; or the system's fault, which may pass
        raise
    except Exception as exc:
        log.exception("the configuration cannot be applied")
        pipelines = ", ".join(names(config.pipeline))
        raise ConfigError(
            "configuration", f"it cannot be applied ({_named(exc)}); its pipelines are {pipelines}"
        ) from exc


def _log_access(mqtt: settings.Mqtt) -> None:
    """Log what others may do over the broker; a warning where anybody who reaches it could change this device."""
    access = request_access(mqtt)
    if not mqtt.enabled or access == "none":
        return
    if mqtt.password_file or mqtt.cert_file or mqtt.seal_key_file or access == "read":
        log.info("requests over MQTT: %s (mqtt.requests)", access)
    else:
        log.warning(
            "requests over MQTT: %s, without password or client certificate: anybody who reaches the broker %s can change what"
            " this device does; use them, or set mqtt.requests to read",
            access,
            mqtt.host,
        )


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
