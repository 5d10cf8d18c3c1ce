"""The control process: builds, starts, watches, reloads, stops. It never touches a frame, an array or a model.

One thread, one selector: signals, the seed (whose children end), the worker (which speaks). Everything else happens
because a time has come. The links have threads of their own.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.control.accelerators import Accelerators, News
from inferd.control.alerting import Alerting
from inferd.control.announce import Announcer
from inferd.control.answers import Answers, Control
from inferd.control.control_socket import ControlSocket
from inferd.control.doors import Doors
from inferd.control.dropped import DropFolder
from inferd.control.examination import ENVIRONMENT, PRELOAD, circumstances
from inferd.control.figures import Figures
from inferd.control.following import Followed
from inferd.control.life import Life
from inferd.control.models import Models, names
from inferd.control.narrate import Narrator
from inferd.control.remote import Remote
from inferd.control.requests import Requests
from inferd.control.supervisor import LONGEST_JITTER, REAP_S, Pauses, Supervisor
from inferd.control.watchdog import Watchdog
from inferd.errors import ConfigError, ForkRefused, WorkerError
from inferd.system import machine
from inferd.system.clock import Clock
from inferd.system.processes import Exit
from inferd.system.sd_notify import Notifier
from inferd.system.seed import START_S, Seed
from inferd.system.signals import Signals

log = logging.getLogger(__name__)

SAY_AGAIN_NS = 60_000_000_000
SLOWER = 20  # times slower than usual is still slow, not hung
TURN_S = 0.25  # how often control looks at deadlines when nothing happens
STOP_WORKER_S = 1.1  # of the 2 s in which all must end
KILL_S = 0.1
STOP_LINKS_S = 0.4
MESSAGES_A_TURN = 500  # so that a chatty worker cannot keep control from its other duties


class Service:
    """The control process's main thread."""

    def __init__(
        self,
        config: settings.Config,
        reread: Callable[[], settings.Config],
        state_dir: Path,
        say: Announcer,
        clock: Clock,
        *,
        notify_socket: str = "",
        doors: Doors | None = None,
        control_dir: Path | None = None,
    ) -> None:
        """Prepare; nothing is started before `run`.

        Args:
            config: what to do.
            reread: gives the configuration as it is now, or raises ConfigError; called on SIGHUP.
            state_dir: where models are kept.
            say: speaks on the broker.
            clock: times everything.
            notify_socket: where systemd listens; "" where it does not.
            doors: the ways to this device beside the broker, which `say` speaks to as well.
            control_dir: where the socket for commands is made; None takes the state directory.
        """
        self._config = config
        self._reread = reread
        self._clock = clock
        folder = Path(config.models.folder) if config.models.folder else state_dir / "models"
        life = Life(state_dir, config.models, clock, machine.boot_id())
        drop = DropFolder(folder, config.models, clock)
        self._models = Models(life, drop, config.models, circumstances(), clock)
        self._accelerators = Accelerators(clock)
        self._supervisor = Supervisor(clock)
        self._pauses = Pauses(config.watch.restart_max_s)
        self._figures = Figures(clock, config.metrics, state_dir)
        self._alerting = Alerting(say, self._figures, clock)
        self._say = say
        self._doors = doors or Doors()
        self._watchdog = Watchdog(Notifier(notify_socket), clock)
        self._tell = Narrator(say, self._models, self._figures, self._watchdog)
        self._control_dir = control_dir or state_dir
        self._commands: ControlSocket | None = None
        self._requests = Requests(self._models)
        answers = Answers(
            Control(
                lambda: self._doors.status().told, self._tell.metrics, self._set_interval, self._reload, self._requests
            )
        )
        self._remote = Remote(say, config.mqtt.prefix, clock, answers.table)
        self._seed_pauses = Pauses(config.watch.restart_max_s)
        self._seed_due_ns = 0
        self._seed_started_ns = 0
        self._refused_ns = -SAY_AGAIN_NS
        self._worker_due_ns = 0
        self._killed_ns = 0
        self._killed_why = ""
        self._replacing = ""  # why the worker is to make room for another; "" where it is not
        self._stopping = False

    def run(self, *, until_end: bool = False) -> None:
        """Serve until SIGTERM or SIGINT, or, with `until_end`, until every pipeline's input is through."""
        with ExitStack() as stack:
            self._signals = stack.enter_context(Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
            self._selector = stack.enter_context(selectors.DefaultSelector())
            self._selector.register(self._signals, selectors.EVENT_READ)
            stack.callback(self._models.close)
            stack.callback(self._accelerators.close)
            stack.callback(self._figures.close)
            self._figures.watch("control", os.getpid())
            self._listen(stack)
            self._start_seed()
            stack.callback(self._close_seed)
            self._models.follow(self._config.pipeline)
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
            pipelines = names(self._config.pipeline)
            wanted = asked.request.pipeline or (pipelines[0] if len(pipelines) == 1 else "")
            if wanted not in pipelines:
                asked.refuse(f"name one of its pipelines: {', '.join(pipelines)}")
            elif not self._supervisor.running:
                asked.refuse("its worker is being started; try again in a moment")
            else:
                self._supervisor.show(ipc.Show(wanted, asked.request.drawn), asked.connection.fileno())
                asked.connection.close()

    def _turn(self) -> None:
        """Do everything whose time has come."""
        for number in self._signals.take():
            if number == signal.SIGHUP:
                self._reload()
            else:
                log.info("stopping on %s", number.name)
                self._stopping = True
        self._mind_processes()
        self._serve_commands()
        self._figures.tick()
        self._alerting.turn(self._tell.degraded())
        for incoming in self._say.incoming():
            self._doors.heard(incoming)
            self._remote.heard(incoming)
        self._say.tell_of_links()
        self._doors.turn()
        if self._tell.metrics_due():
            self._tell.metrics()
        self._feed_watchdog()

    def _mind_processes(self) -> None:
        """Look after seed, worker and vet children, each in its own right: what the kernel refuses one, another may get."""
        for duty in (self._hear_seed, self._hear_worker, self._mind_models, self._mind_worker, self._mind_accelerators):
            try:
                duty()
            except ForkRefused as exc:
                self._take_refusal(exc)
            except WorkerError as exc:
                self._lose_seed(exc)

    def _take_refusal(self, refused: ForkRefused) -> None:
        """Try again later, and say so once a minute."""
        now_ns = self._clock.monotonic_ns()
        if not self._supervisor.running:
            self._worker_due_ns = now_ns + int(self._pauses.after(0) * 1e9)
        if now_ns - self._refused_ns > SAY_AGAIN_NS:
            self._refused_ns = now_ns
            log.error("%s; it is tried again", refused)

    def _feed_watchdog(self) -> None:
        """Tell systemd that we live, if every pipeline infers or is in a named state within its deadline."""
        watch = self._config.watch
        engines_ns, _, _ = self._deadlines_ns()
        deadlines_s = {
            name: engines_ns[one.key] / 1e9 for one in self._models.followed.values() for name in names(one.pipelines)
        }
        trial_s = (
            START_S + 2 * watch.load_deadline_s + LONGEST_JITTER * watch.restart_max_s
        )  # a vet child, then the worker
        self._watchdog.turn(deadlines_s, trial_s)

    def _start_seed(self) -> None:
        self._seed_due_ns = 0
        self._seed_started_ns = self._clock.monotonic_ns()
        self._seed = Seed(PRELOAD, ENVIRONMENT)
        self._seed_greeted = False
        self._selector.register(self._seed, selectors.EVENT_READ)
        self._figures.watch("seed", self._seed.pid)

    def _close_seed(self) -> None:
        """Close the seed of the moment; it may be another than the first."""
        self._seed.close()

    def _hear_seed(self) -> None:
        """Take the ends of children; start a seed that is due.

        Raises:
            WorkerError: the seed is gone.
        """
        if self._seed_due_ns:
            if self._clock.monotonic_ns() < self._seed_due_ns:
                return
            self._start_seed()
        for ended in self._seed.exits():
            if ended.pid == self._supervisor.pid:
                self._bury_worker(ended.exit)
            elif (concluded := self._models.conclude(ended.pid, ended.exit)) is not None:
                self._tell.verdict(concluded)
        if self._seed.ready and not self._seed_greeted:
            self._seed_greeted = True
            for missing in self._seed.missing:
                log.debug("not installed: %s", missing)

    def _mind_accelerators(self) -> None:
        """Ask accelerators, tell what came of it, and have the worker take what is to serve now.

        Raises:
            WorkerError: the seed is gone.
        """
        if self._seed.ready:
            watch = self._config.watch
            self._take_news(self._accelerators.turn(self._seed, watch.deadline_s, watch.load_deadline_s))

    def _take_news(self, news: Sequence[News]) -> None:
        """Tell what happened to accelerators; one that is back is taken by a new worker, the rest by this one."""
        for one in news:
            self._tell.accelerator(one)
            if one.kind == "back" and self._supervisor.running:
                self._replacing = f"{one.key} is back on its accelerator"
                self._killed_ns = self._clock.monotonic_ns()
                self._supervisor.ask_to_stop()
            elif one.kind in ("ready", "failed") and not self._replacing:
                self._send_plan({one.key})

    def _lose_seed(self, error: WorkerError) -> None:
        """Take it that the seed, and with it the worker and the vet children, is gone; another starts after a pause."""
        if self._seed_due_ns:
            return
        lived_ns = self._clock.monotonic_ns() - self._seed_started_ns
        pause_s = self._seed_pauses.after(lived_ns)
        log.error("%s; another starts in %.1f s", error, pause_s)
        self._selector.unregister(self._seed)
        self._seed.close()
        self._models.lose_children()
        self._accelerators.lose_children()
        self._seed_due_ns = self._clock.monotonic_ns() + int(pause_s * 1e9)
        if self._supervisor.running:
            self._bury_worker(Exit(signal.SIGKILL), str(error), guilty=False)
        self._tell.no_worker(str(error))

    def _send_plan(self, offered: Collection[str]) -> None:
        """Tell the worker all that there should be, and offer it the models of these keys; without a worker, later."""
        if not self._supervisor.running:
            return
        followed = self._models.accepted()
        self._accelerators.follow(
            (one.key, one.accepted, one.pipelines[0].engine) for one in followed if one.accepted is not None
        )
        accepted = [one for one in followed if self._accelerators.can_serve(one.key)]
        self._supervisor.plan([one.assignment for one in accepted])
        for one in accepted:
            if one.key in offered and one.accepted is not None:
                self._supervisor.offer(*self._accelerators.offer(one.key, one.offer, one.accepted.blob_fd))

    def _hear_worker(self) -> None:
        """Pass on what the worker says."""
        for _ in range(MESSAGES_A_TURN):
            message = self._supervisor.receive()
            if message is None:
                return
            self._tell.heard(message)
            if not self._hear_of_accelerator(message):
                self._models.heard(message)

    def _hear_of_accelerator(self, message: ipc.FromWorker) -> bool:
        """Take what the worker says of an accelerator; return whether the message was about that, and not the model."""
        if not isinstance(message, ipc.FellBack | ipc.Refused):
            return False
        news = self._accelerators.fell(message.engine_key, message.why)
        for one in news:
            self._tell.accelerator(one)
        if news and not (isinstance(message, ipc.FellBack) and message.twin_serves):
            self._send_plan({message.engine_key})
        return bool(news)

    def _mind_worker(self) -> None:
        """Start a worker that is due; kill one that hangs; give up one that cannot be killed."""
        now_ns = self._clock.monotonic_ns()
        if not self._supervisor.running:
            if self._seed.ready and now_ns >= self._worker_due_ns:
                self._start_worker()
        elif self._killed_ns:
            if self._replacing and now_ns - self._killed_ns > STOP_WORKER_S * 1e9:
                self._supervisor.kill()
            if now_ns - self._killed_ns > REAP_S * 1e9:
                self._bury_worker(None)
        elif why := self._supervisor.stalled(*self._deadlines_ns()):
            self._killed_ns, self._killed_why = now_ns, why
            self._supervisor.kill()

    def _mind_models(self) -> None:
        """Examine, try and keep models; tell the news, and offer the worker what is to serve now."""
        if self._seed.ready:
            self._models.turn(self._seed)
            self._tell.without(self._models.without())
        self._tell.news(self._models.life.news())
        if changed := self._models.take_changed():
            self._send_plan(changed)

    def _start_worker(self) -> None:
        """Start a worker on all accepted models."""
        pid = self._supervisor.start(self._seed)
        self._selector.register(self._supervisor, selectors.EVENT_READ)
        self._figures.watch("worker", pid)
        self._send_plan([one.key for one in self._models.accepted()])
        self._tell.worker_started(pid)

    def _bury_worker(self, ended: Exit | None, why: str = "", *, guilty: bool = True) -> None:
        """Tell how the worker ended and, where somebody may be guilty of it, who, and have it started again."""
        self._hear_worker()
        self._selector.unregister(self._supervisor)
        lived_ns = self._clock.monotonic_ns() - self._supervisor.started_ns
        death = self._supervisor.bury(ended, self._killed_why or why, hung=bool(self._killed_why))
        replacing, self._replacing = self._replacing, ""
        why = f"the worker ended while it was at work: {death.how}"
        news = [one for key in death.blamed if guilty and not replacing for one in self._accelerators.fell(key, why)]
        excused = self._models.followed if replacing or not guilty else {one.key for one in news}
        self._models.worker_ended(death, excused)
        rolled_back = bool(self._models.take_changed())  # then who did it is gone
        pause_s = 0.0 if rolled_back or news or replacing else self._pauses.after(lived_ns)
        self._worker_due_ns = self._clock.monotonic_ns() + int(pause_s * 1e9)
        if replacing:
            self._tell.worker_replaced(replacing)
        else:
            self._tell.worker_ended("worker.hung" if self._killed_why else "worker.died", death, pause_s)
        for one in news:
            self._tell.accelerator(one)
        self._killed_ns, self._killed_why = 0, ""

    def _deadlines_ns(self) -> tuple[dict[str, int], int, int]:
        """Return how long each engine (as configured, or 20 times its p95), a load and the rest may show no progress."""
        watch = self._config.watch
        engines = {
            one.key: int(max(watch.deadline_s, *(SLOWER * seconds for seconds in self._turns_s(one))) * 1e9)
            for one in self._models.followed.values()
        }
        return engines, int(watch.load_deadline_s * 1e9), int(watch.deadline_s * 1e9)

    def _turns_s(self, one: Followed) -> list[float]:
        """Return what turns of an engine took: the p95 of each pipeline, and its first run where nothing is measured yet."""
        first_run_s = one.accepted.info.warmup_ms / 1e3 if one.accepted is not None else 0.0
        return [first_run_s, *(self._figures.p95_s(name) for name in names(one.pipelines))]

    def _set_interval(self, interval_s: float) -> None:
        """Report so often, until the configuration is read again."""
        metrics = msgspec.structs.replace(self._config.metrics, interval_s=interval_s)
        self._use(msgspec.structs.replace(self._config, metrics=metrics))

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
        changed = self._models.follow(config.pipeline)
        self._figures.configure(config.metrics)
        self._tell.reloaded(config)
        self._alerting.follow(config)
        self._doors.follow(config, self._figures.basis)
        self._send_plan(changed)

    def _stop(self) -> None:
        """End the worker, tell what it still had to say, and say goodbye; within 2 s, whatever hangs."""
        self._watchdog.stopping()
        self._tell.stopping()
        if self._supervisor.running:
            self._supervisor.ask_to_stop()
            ended = self._await_worker(STOP_WORKER_S)
            if ended is None:
                log.error(
                    "the worker did not end in %.1f s and is killed: %s", STOP_WORKER_S, self._supervisor.at_work()
                )
                self._supervisor.kill()
                self._await_worker(KILL_S)
        self._models.end_children(KILL_S)
        self._tell.metrics()
        self._tell.close(STOP_LINKS_S)

    def _await_worker(self, timeout_s: float) -> Exit | None:
        """Listen to the worker until it has ended; None where it has not within `timeout_s`, or its seed is gone."""
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        while (left_s := (ends_ns - self._clock.monotonic_ns()) / 1e9) > 0:
            self._selector.select(min(left_s, 0.05))
            self._hear_worker()
            for ended in self._seed.exits():
                if ended.pid == self._supervisor.pid:
                    self._hear_worker()
                    return ended.exit
        return None
