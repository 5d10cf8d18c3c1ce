"""Supervises control's child processes: starts fork server and worker, kills a worker that hangs, restarts what ended.

Vet children belong to `models/`, accelerator probes to `accelerators/`; their exits arrive here with the others and are
passed on. This is also where a selected model becomes an offer to the worker.
"""

from __future__ import annotations

import logging
import selectors
import signal
from collections.abc import Collection, Sequence

from inferd import ipc
from inferd.config import settings
from inferd.control.accelerators.fallback_and_recovery import AcceleratorEvent, Accelerators
from inferd.control.models.engine_keys import EngineKey
from inferd.control.models.models import Models
from inferd.control.processes.memory_watch import MemoryWatch
from inferd.control.processes.supervisor import REAP_S, Cause, RestartBackoff, Supervisor
from inferd.control.processes.vet_job import ENVIRONMENT, PRELOAD
from inferd.control.reporting.events import EventReporter
from inferd.control.reporting.metrics import MetricsReporter
from inferd.errors import ForkRefused, WorkerError
from inferd.system.clock import Clock
from inferd.system.processes.fork_server import ForkServer
from inferd.system.processes.process import Exit
from inferd.wire import telemetry

log = logging.getLogger(__name__)

LOG_AGAIN_NS = 60_000_000_000
SLOWER = 20  # times slower than usual is still slow, not hung
STOP_WORKER_S = 1.1  # of the 2 s in which all must end
KILL_S = 0.1
EVENTS: dict[Cause, telemetry.EventKind] = {
    "died": "worker.died",
    "hung": "worker.hung",
    "grown": "worker.grown",
    "starved": "worker.died",
}
MESSAGES_A_TURN = 500  # so that a worker that sends a lot cannot keep control from its other duties


class ChildProcesses:
    """The fork server and one worker. Owned by control's main thread."""

    def __init__(
        self, models: Models, figures: MetricsReporter, events: EventReporter, watch: settings.Watch, clock: Clock
    ) -> None:
        """Prepare; nothing is started before `start`.

        Args:
            models: selects what serves.
            figures: measures the processes, and knows how long a turn takes.
            events: reports what happens.
            watch: the deadlines.
            clock: times everything.
        """
        self._models = models
        self._figures = figures
        self._events = events
        self._watch = watch
        self._clock = clock
        self._accelerators = Accelerators(clock)
        self._supervisor = Supervisor(clock)
        self._pauses = RestartBackoff(watch.restart_max_s)
        self._fork_server_pauses = RestartBackoff(watch.restart_max_s)
        self._fork_server_due_ns = 0
        self._fork_server_started_ns = 0
        self._refused_ns = -LOG_AGAIN_NS
        self._worker_due_ns = 0
        self._killed_ns = 0
        self._killed_why = ""
        self._killed_for: Cause = "died"
        self._memory = MemoryWatch(clock, events.memory_tight)
        self._replacing = ""  # why the worker is to be replaced; "" where it is not

    def start(self, selector: selectors.BaseSelector) -> None:
        """Start the fork server; the worker follows when it is ready.

        Args:
            selector: wakes control when a child sends something.
        """
        self._selector = selector
        self._start_fork_server()

    def configure(self, watch: settings.Watch) -> None:
        """Keep these deadlines from now on."""
        self._watch = watch

    def turn(self) -> None:
        """Do everything that is due. Each duty runs by itself: a fork that the kernel refuses one, another may get."""
        for duty in (
            self._reap_children,
            self._handle_messages,
            self._supervisor.retry,
            self._sleep_and_wake,
            self._advance_models,
            self._supervise_worker,
            self._advance_accelerators,
        ):
            try:
                duty()
            except ForkRefused as exc:
                self._retry_fork(exc)
            except WorkerError as exc:
                self._lose_fork_server(exc)

    def deadlines_s(self) -> dict[str, float]:
        """Return how long each pipeline may go without a result before it counts as hung."""
        engines_ns, _, _ = self._deadlines_ns()
        return {name: engines_ns[one.key] / 1e9 for one in self._models.keys for name in one.names}

    def show(self, frame: ipc.ShowFrame, connection_fd: int) -> None:
        """Have the worker send a frame over a connection.

        Raises:
            WorkerError: there is no worker.
        """
        if not self._supervisor.running:
            raise WorkerError("snapshot", "its worker is being started; try again in a moment")
        self._supervisor.show(frame, connection_fd)

    def stop(self) -> None:
        """End worker and vet children, and handle the worker's last messages; in about STOP_WORKER_S."""
        if self._supervisor.running:
            self._supervisor.ask_to_stop()
            if self._await_worker(STOP_WORKER_S) is None:
                log.error(
                    "the worker did not end in %.1f s and is killed: %s", STOP_WORKER_S, self._supervisor.at_work()
                )
                self._supervisor.kill()
                self._await_worker(KILL_S)
        self._models.end_children(KILL_S)

    def close(self) -> None:
        """End the fork server and the accelerator probes. Only after `start`."""
        self._fork_server.close()
        self._accelerators.close()

    def _retry_fork(self, refused: ForkRefused) -> None:
        """Retry later; log it once a minute."""
        now_ns = self._clock.monotonic_ns()
        if not self._supervisor.running:
            self._worker_due_ns = now_ns + int(self._pauses.after(0) * 1e9)
        if now_ns - self._refused_ns > LOG_AGAIN_NS:
            self._refused_ns = now_ns
            log.error("%s; retrying", refused)

    def _start_fork_server(self) -> None:
        self._fork_server_due_ns = 0
        self._fork_server_started_ns = self._clock.monotonic_ns()
        self._fork_server = ForkServer(PRELOAD, ENVIRONMENT)
        self._fork_server_was_ready = False
        self._selector.register(self._fork_server, selectors.EVENT_READ)
        self._figures.watch("seed", self._fork_server.pid)  # the metric's name

    def _reap_children(self) -> None:
        """Handle exits of children; start a fork server that is due.

        Raises:
            WorkerError: the fork server is gone.
        """
        if self._fork_server_due_ns:
            if self._clock.monotonic_ns() < self._fork_server_due_ns:
                return
            self._start_fork_server()
        for ended in self._fork_server.exits():
            if ended.pid == self._supervisor.pid:
                self._worker_ended(ended.exit)
            elif (concluded := self._models.conclude_vetting(ended.pid, ended.exit)) is not None:
                self._events.vetting_concluded(concluded)
        if self._fork_server.ready and not self._fork_server_was_ready:
            self._fork_server_was_ready = True
            for missing in self._fork_server.missing:
                log.debug("not installed: %s", missing)

    def _advance_accelerators(self) -> None:
        """Probe and recover accelerators, report what came of it, and offer the worker what is to serve now.

        Raises:
            WorkerError: the fork server is gone.
        """
        if self._fork_server.ready:
            self._apply_accelerator_events(
                self._accelerators.turn(self._fork_server, self._watch.deadline_s, self._watch.load_deadline_s)
            )

    def _apply_accelerator_events(self, events: Sequence[AcceleratorEvent]) -> None:
        """Report accelerator events. One that is back needs a new worker; other changes are offered to this one."""
        for one in events:
            self._events.accelerator(one)
            if one.kind == "back" and self._supervisor.running:
                self._replacing = f"{one.key} is back on its accelerator"
                self._killed_ns = self._clock.monotonic_ns()
                self._supervisor.ask_to_stop()
            elif one.kind in ("ready", "failed") and not self._replacing:
                self.plan_and_offer({one.key})

    def _lose_fork_server(self, error: WorkerError) -> None:
        """Restart the fork server after a pause: it died, and worker and vet children with it."""
        if self._fork_server_due_ns:
            return
        lived_ns = self._clock.monotonic_ns() - self._fork_server_started_ns
        pause_s = self._fork_server_pauses.after(lived_ns)
        log.error("%s; another starts in %.1f s", error, pause_s)
        self._selector.unregister(self._fork_server)
        self._fork_server.close()
        self._models.lose_children()
        self._accelerators.lose_children()
        self._fork_server_due_ns = self._clock.monotonic_ns() + int(pause_s * 1e9)
        if self._supervisor.running:
            self._worker_ended(Exit(signal.SIGKILL), str(error), guilty=False)
        self._events.no_worker(str(error))

    def plan_and_offer(self, offered: Collection[str]) -> None:
        """Send the worker its plan, and the models of the `offered` keys; nothing where no worker runs."""
        if not self._supervisor.running:
            return
        selected = self._models.keys.selected()
        self._accelerators.follow(
            (one.key, one.selected, one.first.engine) for one in selected if one.selected is not None
        )
        able = [one for one in selected if self._accelerators.can_serve(one.key) and self._models.is_awake(one)]
        for one in selected:
            if one not in able:
                self._models.serves_nothing(one)
        self._supervisor.plan([self._models.assignment(one) for one in able])
        for one in able:
            if one.key in offered and one.selected is not None:
                self._supervisor.offer(*self._accelerators.offer(one.key, one.offer, one.selected.blob_fd))

    def _handle_messages(self) -> None:
        """Handle what the worker reports."""
        for _ in range(MESSAGES_A_TURN):
            try:
                message = self._supervisor.receive()
            except WorkerError as exc:  # not gone, but what it sent cannot be read
                if not self._killed_ns:
                    self._kill_worker(exc.message, "died")
                return
            if message is None:
                return
            self._events.handle_message(message)
            if not self._handle_accelerator_message(message):
                self._models.handle_message(message)

    def _handle_accelerator_message(self, message: ipc.FromWorker) -> bool:
        """Handle a report of a failed accelerator; return whether the message was about that, and not about the model."""
        if not isinstance(message, ipc.FellBack | ipc.OfferRefused):
            return False
        events = self._accelerators.fell(message.engine_key, message.why)
        for one in events:
            self._events.accelerator(one)
        if events and not (isinstance(message, ipc.FellBack) and message.fallback_serves):
            self.plan_and_offer({message.engine_key})
        return bool(events)

    def _supervise_worker(self) -> None:
        """Start a worker that is due; kill one that hangs; give up one that cannot be killed."""
        now_ns = self._clock.monotonic_ns()
        if not self._supervisor.running:
            if self._fork_server.ready and now_ns >= self._worker_due_ns:
                self._start_worker()
        elif self._killed_ns:
            if self._replacing and now_ns - self._killed_ns > STOP_WORKER_S * 1e9:
                self._supervisor.kill()
            if now_ns - self._killed_ns > REAP_S * 1e9:
                self._worker_ended(None)
        elif why := self._supervisor.stalled(*self._deadlines_ns()):
            self._kill_worker(why, "hung")
        elif why := self._memory.excess():
            self._kill_worker(why, "grown")

    def _kill_worker(self, why: str, cause: Cause) -> None:
        self._killed_ns, self._killed_why, self._killed_for = self._clock.monotonic_ns(), why, cause
        self._supervisor.kill()

    def _sleep_and_wake(self) -> None:
        """Take pipelines that fell asleep out of the worker's plan, and put those that woke back."""
        if changed := self._models.sleeping.turn():
            self._events.sleeping(changed)
            self.plan_and_offer({one.key for one in self._models.keys if not one.serving})

    def _advance_models(self) -> None:
        """Advance vetting and trials, report their steps, and offer the worker what is to serve now."""
        if self._fork_server.ready:
            self._models.turn(self._fork_server)
            self._events.without_model(self._models.without_model())
            self._events.waiting(self._models.waiting())
        self._events.lifecycle(self._models.state.new_log_lines())
        self._events.disk(self._models.state.pop_disk_events())
        if changed := self._models.pop_changed():
            self.plan_and_offer(changed)
            self._events.check_labels()
        for request, fds in self._models.pop_replays():
            self._supervisor.replay(request, fds)

    def _start_worker(self) -> None:
        """Start a worker with all selected models."""
        pid = self._supervisor.start(self._fork_server)
        self._selector.register(self._supervisor, selectors.EVENT_READ)
        self._figures.watch("worker", pid)
        self._memory.begin(pid, self._watch.memory_max_mb)
        self.plan_and_offer([one.key for one in self._models.keys.selected()])
        self._events.worker_started(pid)

    def _worker_ended(self, ended: Exit | None, why: str = "", *, guilty: bool = True) -> None:
        """Report how the worker ended, blame what was at work (unless not `guilty`), and schedule the next one."""
        self._handle_messages()
        self._selector.unregister(self._supervisor)
        lived_ns = self._clock.monotonic_ns() - self._supervisor.started_ns
        death = self._supervisor.conclude(ended, self._killed_why or why, self._cause(ended))
        self._memory.end()
        replacing, self._replacing = self._replacing, ""
        why = f"the worker ended while it was at work: {death.how}"
        blamed = death.blamed if guilty and not replacing else ()
        events = [one for key in blamed for one in self._accelerators.fell(key, why)]
        failed = {one.key for one in events}
        excused = {one.key for one in self._models.keys} if replacing or not guilty else failed
        self._models.worker_ended(death, excused)
        rolled_back = bool(self._models.pop_changed())  # then the model to blame serves no more
        pause_s = 0.0 if rolled_back or events or replacing else self._pauses.after(lived_ns)
        self._worker_due_ns = self._clock.monotonic_ns() + int(pause_s * 1e9)
        if replacing:
            self._events.worker_replaced(replacing)
        else:
            self._events.worker_ended(EVENTS[death.cause], death, pause_s)
        for one in events:
            self._events.accelerator(one)
        self._killed_ns, self._killed_why, self._killed_for = 0, "", "died"

    def _cause(self, ended: Exit | None) -> Cause:
        """Return why the worker ended: why control killed it, or why the kernel did."""
        return "starved" if self._killed_for == "died" and self._memory.starved(ended) else self._killed_for

    def _deadlines_ns(self) -> tuple[dict[str, int], int, int]:
        """Return how long each engine (as configured, or 20 times its p95), a load and the rest may show no progress."""
        engines = {
            one.key: int(max(self._watch.deadline_s, *(SLOWER * seconds for seconds in self._turns_s(one))) * 1e9)
            for one in self._models.keys
        }
        return engines, int(self._watch.load_deadline_s * 1e9), int(self._watch.deadline_s * 1e9)

    def _turns_s(self, one: EngineKey) -> list[float]:
        """Return what turns of an engine took: the p95 of each pipeline, and its first run where nothing is measured yet."""
        first_run_s = one.selected.info.warmup_ms / 1e3 if one.selected is not None else 0.0
        return [first_run_s, *(self._figures.p95_s(name) for name in one.names)]

    def _await_worker(self, timeout_s: float) -> Exit | None:
        """Handle messages until the worker has ended; None after `timeout_s`, or where the fork server is gone."""
        ends_ns = self._clock.monotonic_ns() + int(timeout_s * 1e9)
        while (left_s := (ends_ns - self._clock.monotonic_ns()) / 1e9) > 0:
            self._selector.select(min(left_s, 0.05))
            self._supervisor.retry()
            self._handle_messages()
            for ended in self._fork_server.exits():
                if ended.pid == self._supervisor.pid:
                    self._handle_messages()
                    return ended.exit
        return None
