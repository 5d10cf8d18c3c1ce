"""Control's child processes: the seed and the worker. Started, heard, killed where they hang, buried, started again.

The vet children are the models' own, and the probes the accelerators'; their ends come through here.
"""

from __future__ import annotations

import logging
import selectors
import signal
from collections.abc import Collection, Sequence

from inferd import ipc
from inferd.config import settings
from inferd.control.accelerators.accelerators import AcceleratorEvent, Accelerators
from inferd.control.models.engine_keys import Followed
from inferd.control.models.models import Models, names
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

SAY_AGAIN_NS = 60_000_000_000
SLOWER = 20  # times slower than usual is still slow, not hung
STOP_WORKER_S = 1.1  # of the 2 s in which all must end
KILL_S = 0.1
EVENTS: dict[Cause, telemetry.EventKind] = {
    "died": "worker.died",
    "hung": "worker.hung",
    "grown": "worker.grown",
    "starved": "worker.died",
}
MESSAGES_A_TURN = 500  # so that a chatty worker cannot keep control from its other duties


class Children:
    """The seed and one worker, and what each of them has to do now. Owned by control's main thread."""

    def __init__(
        self, models: Models, figures: MetricsReporter, tell: EventReporter, watch: settings.Watch, clock: Clock
    ) -> None:
        """Prepare; nothing is started before `start`.

        Args:
            models: what is to serve.
            figures: are told which processes to watch, and tell how long a turn takes.
            tell: says what happens.
            watch: the deadlines.
            clock: times everything.
        """
        self._models = models
        self._figures = figures
        self._tell = tell
        self._watch = watch
        self._clock = clock
        self._accelerators = Accelerators(clock)
        self._supervisor = Supervisor(clock)
        self._pauses = RestartBackoff(watch.restart_max_s)
        self._seed_pauses = RestartBackoff(watch.restart_max_s)
        self._seed_due_ns = 0
        self._seed_started_ns = 0
        self._refused_ns = -SAY_AGAIN_NS
        self._worker_due_ns = 0
        self._killed_ns = 0
        self._killed_why = ""
        self._killed_for: Cause = "died"
        self._memory = MemoryWatch(clock, tell.memory_tight)
        self._replacing = ""  # why the worker is to make room for another; "" where it is not

    def start(self, selector: selectors.BaseSelector) -> None:
        """Start the seed; the worker follows when the seed is ready.

        Args:
            selector: wakes control when a child speaks.
        """
        self._selector = selector
        self._start_seed()

    def follow(self, watch: settings.Watch) -> None:
        """Keep these deadlines from now on."""
        self._watch = watch

    def mind(self) -> None:
        """Look after seed, worker and vet children, each in its own right: what the kernel refuses one, another may get."""
        for duty in (self._hear_seed, self._hear_worker, self._mind_models, self._mind_worker, self._mind_accelerators):
            try:
                duty()
            except ForkRefused as exc:
                self._take_refusal(exc)
            except WorkerError as exc:
                self._lose_seed(exc)

    def deadlines_s(self) -> dict[str, float]:
        """Return how long each pipeline may go without a result before something must be said of it."""
        engines_ns, _, _ = self._deadlines_ns()
        return {
            name: engines_ns[one.key] / 1e9 for one in self._models.followed.values() for name in names(one.pipelines)
        }

    def show(self, frame: ipc.ShowFrame, connection_fd: int) -> None:
        """Have the worker answer, over a connection, whoever asks for a frame.

        Raises:
            WorkerError: there is no worker.
        """
        if not self._supervisor.running:
            raise WorkerError("snapshot", "its worker is being started; try again in a moment")
        self._supervisor.show(frame, connection_fd)

    def stop(self) -> None:
        """End worker and vet children, and hear what the worker still had to say; in about STOP_WORKER_S."""
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
        """Let go of the seed and of what the accelerators hold. Only after `start`."""
        self._seed.close()
        self._accelerators.close()

    def _take_refusal(self, refused: ForkRefused) -> None:
        """Try again later, and say so once a minute."""
        now_ns = self._clock.monotonic_ns()
        if not self._supervisor.running:
            self._worker_due_ns = now_ns + int(self._pauses.after(0) * 1e9)
        if now_ns - self._refused_ns > SAY_AGAIN_NS:
            self._refused_ns = now_ns
            log.error("%s; it is tried again", refused)

    def _start_seed(self) -> None:
        self._seed_due_ns = 0
        self._seed_started_ns = self._clock.monotonic_ns()
        self._seed = ForkServer(PRELOAD, ENVIRONMENT)
        self._seed_greeted = False
        self._selector.register(self._seed, selectors.EVENT_READ)
        self._figures.watch("seed", self._seed.pid)

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
            self._take_news(self._accelerators.turn(self._seed, self._watch.deadline_s, self._watch.load_deadline_s))

    def _take_news(self, news: Sequence[AcceleratorEvent]) -> None:
        """Tell what happened to accelerators; one that is back is taken by a new worker, the rest by this one."""
        for one in news:
            self._tell.accelerator(one)
            if one.kind == "back" and self._supervisor.running:
                self._replacing = f"{one.key} is back on its accelerator"
                self._killed_ns = self._clock.monotonic_ns()
                self._supervisor.ask_to_stop()
            elif one.kind in ("ready", "failed") and not self._replacing:
                self.plan({one.key})

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

    def plan(self, offered: Collection[str]) -> None:
        """Tell the worker all that there should be, and offer it the models of these keys; without a worker, later."""
        if not self._supervisor.running:
            return
        followed = self._models.accepted()
        self._accelerators.follow(
            (one.key, one.accepted, one.pipelines[0].engine) for one in followed if one.accepted is not None
        )
        accepted = [one for one in followed if self._accelerators.can_serve(one.key)]
        for one in followed:
            if one not in accepted:
                self._models.cannot_serve(one.key)
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
        if not isinstance(message, ipc.FellBack | ipc.OfferRefused):
            return False
        news = self._accelerators.fell(message.engine_key, message.why)
        for one in news:
            self._tell.accelerator(one)
        if news and not (isinstance(message, ipc.FellBack) and message.twin_serves):
            self.plan({message.engine_key})
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
            self._kill_worker(why, "hung")
        elif why := self._memory.excess():
            self._kill_worker(why, "grown")

    def _kill_worker(self, why: str, cause: Cause) -> None:
        self._killed_ns, self._killed_why, self._killed_for = self._clock.monotonic_ns(), why, cause
        self._supervisor.kill()

    def _mind_models(self) -> None:
        """Examine, try and keep models; tell the news, and offer the worker what is to serve now."""
        if self._seed.ready:
            self._models.turn(self._seed)
            self._tell.without(self._models.without())
        self._tell.news(self._models.life.news())
        if changed := self._models.take_changed():
            self.plan(changed)
        for question, fds in self._models.take_questions():
            self._supervisor.replay(question, fds)

    def _start_worker(self) -> None:
        """Start a worker on all accepted models."""
        pid = self._supervisor.start(self._seed)
        self._selector.register(self._supervisor, selectors.EVENT_READ)
        self._figures.watch("worker", pid)
        self._memory.begin(pid, self._watch.memory_max_mb)
        self.plan([one.key for one in self._models.accepted()])
        self._tell.worker_started(pid)

    def _bury_worker(self, ended: Exit | None, why: str = "", *, guilty: bool = True) -> None:
        """Tell how the worker ended and, where somebody may be guilty of it, who, and have it started again."""
        self._hear_worker()
        self._selector.unregister(self._supervisor)
        lived_ns = self._clock.monotonic_ns() - self._supervisor.started_ns
        death = self._supervisor.bury(ended, self._killed_why or why, self._cause(ended))
        self._memory.end()
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
            self._tell.worker_ended(EVENTS[death.cause], death, pause_s)
        for one in news:
            self._tell.accelerator(one)
        self._killed_ns, self._killed_why, self._killed_for = 0, "", "died"

    def _cause(self, ended: Exit | None) -> Cause:
        """Return why the worker ended: for what we killed it, or the kernel did."""
        return "starved" if self._killed_for == "died" and self._memory.starved(ended) else self._killed_for

    def _deadlines_ns(self) -> tuple[dict[str, int], int, int]:
        """Return how long each engine (as configured, or 20 times its p95), a load and the rest may show no progress."""
        engines = {
            one.key: int(max(self._watch.deadline_s, *(SLOWER * seconds for seconds in self._turns_s(one))) * 1e9)
            for one in self._models.followed.values()
        }
        return engines, int(self._watch.load_deadline_s * 1e9), int(self._watch.deadline_s * 1e9)

    def _turns_s(self, one: Followed) -> list[float]:
        """Return what turns of an engine took: the p95 of each pipeline, and its first run where nothing is measured yet."""
        first_run_s = one.accepted.info.warmup_ms / 1e3 if one.accepted is not None else 0.0
        return [first_run_s, *(self._figures.p95_s(name) for name in names(one.pipelines))]

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
