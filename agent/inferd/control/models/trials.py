"""Models on trial: what is counted, how a trial ends, which model is blamed for a dead worker.

The rules are in `store/lifecycle/trial.py`; `shadow_replay.py` builds what the worker is asked before a trial ends.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from inferd import ipc
from inferd.control.models.engine_keys import EngineKey, EngineKeys
from inferd.control.models.select_serving import ModelEnvironment, ServingModels
from inferd.control.models.shadow_replay import as_meant, count, request_replay
from inferd.control.processes.supervisor import LOOP, Death
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.trial import SLOW, TrialCounts, TrialFailed, TrialPassed, TrialTerms

REPLAY_NS = 120_000_000_000  # within which the worker answers: loading may take half of it, a slow model 30 s
DAY_NS = 86_400_000_000_000
FAULTS = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")


class Trials:
    """Owned by control's main thread."""

    def __init__(self, keys: EngineKeys, serving: ServingModels, environment: ModelEnvironment) -> None:
        """Judge the models that `serving` selects for `keys`."""
        self._keys = keys
        self._serving = serving
        self._state = environment.state
        self._options = environment.options
        self._clock = environment.clock
        self._replays: list[str] = []

    def loaded(self, one: EngineKey, digest: str) -> None:
        """Start the trial of a model that the worker has loaded, if it is on trial."""
        if self._is_on_trial(one, digest) and one.selected is not None:
            options, budget = self._options, one.selected.description.manifest.budget
            terms = TrialTerms(options.trial_s, options.trial_results, options.trial_errors, budget.latency_p95_ms)
            one.trial.counts = TrialCounts(terms, self._clock.monotonic_ns())
            one.trial.mixed = set(one.names)

    def not_loaded(self, one: EngineKey, digest: str, why: str) -> bool:
        """Fail the trial of a model that the worker could not load; return whether it was on trial."""
        on_trial = self._is_on_trial(one, digest)
        if on_trial:
            self.fail(one, "load_failed", why)
        return on_trial

    def count(self, counts: ipc.Counts) -> None:
        """Add what the worker counted, and end trials that are decided by it."""
        for one in self._keys:
            for name in one.names:
                if (counted := counts.pipelines.get(name)) is not None:
                    count(one.trial, name, counted)
            self.check(one)

    def restart(self, one: EngineKey) -> None:
        """Count from zero: no model serves this key now, and the trial starts again when one does."""
        if one.trial.counts is not None:
            one.trial.counts = TrialCounts(one.trial.counts.terms, self._clock.monotonic_ns())

    def check(self, one: EngineKey) -> None:
        """End the trial of a key if it is decided, after a replay where that could excuse the model."""
        if one.trial.counts is None:
            return
        ended = one.trial.counts.verdict(self._clock.monotonic_ns())
        if ended is not None and not self._awaits_replay(one, one.trial.counts, ended):
            self._end(one, ended)

    def pop_replays(self) -> list[tuple[ipc.ShadowReplay, list[int]]]:
        """Return the replays to request from the worker, each with the descriptor of the previous model."""
        requested, self._replays = self._replays, []
        now_ns = self._clock.monotonic_ns()
        keys = [one for key in requested if (one := self._keys.get(key)) is not None]
        return [
            request_replay(one, self._serving.slots_of(one), now_ns)
            for one in keys
            if one.trial.counts is not None and one.trial.counts.asked_ns
        ]

    def replay_done(self, done: ipc.ShadowReplayDone) -> None:
        """End a trial by the result of its replay."""
        one = self._keys.get(done.engine_key)
        if one is None or one.trial.counts is None or not self._is_on_trial(one, done.digest):
            return
        done = as_meant(done, one, self._serving.slots_of(one))
        ended = one.trial.counts.settle(self._clock.monotonic_ns(), done, one.trial.usual.took)
        if ended is not None:
            self._end(one, ended)

    def fail(self, one: EngineKey, code: str, why: str) -> None:
        """End a trial: the model is quarantined, and the previous one serves."""
        one.trial.counts = None
        self._state.apply(slots.fail, one.key, code, why, self._state.wall_s())
        self._serving.select(one)

    def worker_ended(self, death: Death, excused: Collection[str] = ()) -> None:
        """Blame models on trial that were at work, or being loaded, when the worker died.

        Args:
            death: how the worker ended, and which engines were at work.
            excused: keys whose models are not to blame: an accelerator failed, or control replaced the worker.
        """
        trials = [one for one in self._keys if self._serving.slots_of(one).trial and one.key not in excused]
        if death.replaying:
            self._end_replays(trials, death)
        elif death.cause in ("grown", "starved"):  # what took the memory need not have been at work when it was gone
            self._blame_for_memory(trials, death)
        else:
            self._blame(trials, death)
            self._count_fault(death, excused)
        for one in self._keys:
            one.serving, one.trial.counts = "", None

    def _blame(self, trials: Sequence[EngineKey], death: Death) -> None:
        blamed = [one for one in trials if _at_fault(one, death)]
        for one in blamed or (trials if not death.blamed else []):
            if one in blamed and (death.hung or any(fault in death.how for fault in FAULTS)):
                how = death.how if death.hung else f"the worker {death.how}"
                self.fail(one, "hang" if death.hung else "crash", f"{how} while it was on trial")
            else:
                self._strike(one, f"the worker {death.how} again while it was on trial")

    def _count_fault(self, death: Death, excused: Collection[str]) -> None:
        """Count a hang or crash of committed models; give one up that had too many of them in a day."""
        most, now_ns = self._options.faults_a_day, self._clock.monotonic_ns()
        for one in self._keys:
            now = self._serving.slots_of(one)
            at_fault = f"{LOOP} {one.key} " in death.how if death.hung else (one.key,) == death.blamed
            if now.trial is not None or not now.active or one.key in excused or not at_fault:
                continue
            before = one.trial.faults_ns if one.trial.faulty == now.active else []
            one.trial.faulty = now.active
            one.trial.faults_ns = [at_ns for at_ns in before if now_ns - at_ns < DAY_NS] + [now_ns]
            if most and len(one.trial.faults_ns) >= most:
                what = "hung" if death.hung else "crashed"
                why = f"it {what} the worker {len(one.trial.faults_ns)} times within a day (models.faults_a_day)"
                code = "hang" if death.hung else "crash"
                self._state.apply(slots.give_up, one.key, code, why, self._state.wall_s())
                self._serving.select(one)

    def _end_replays(self, trials: Sequence[EngineKey], death: Death) -> None:
        """Pass, with a doubt, the models whose replay killed the worker: the previous model may have done it."""
        doubt = f"the worker {death.how} while the model before was shown its frames"
        for one in trials:
            if one.trial.counts is not None and one.trial.counts.asked_ns:
                self._end(one, TrialPassed(doubt=doubt))

    def _blame_for_memory(self, trials: Sequence[EngineKey], death: Death) -> None:
        """Fail the models on trial; only warn them where the kernel chose what to kill, for another program may have grown."""
        for one in trials:
            if death.cause == "grown":
                self.fail(one, "memory", f"the worker {death.how} while it was on trial")
            else:
                self._strike(one, f"the worker {death.how} again while it was on trial")

    def _is_on_trial(self, one: EngineKey, digest: str) -> bool:
        trial = self._serving.slots_of(one).trial
        return trial is not None and trial.digest == digest

    def _awaits_replay(self, one: EngineKey, counts: TrialCounts, ended: TrialPassed | TrialFailed) -> bool:
        """Whether both models are to be shown the same frames first, because the scene may explain what was counted."""
        if (isinstance(ended, TrialFailed) and ended.code != SLOW) or not self._serving.has_previous(one):
            return False
        now_ns = self._clock.monotonic_ns()
        if not counts.asked_ns:
            counts.asked_ns = now_ns
            self._replays.append(one.key)
        return now_ns - counts.asked_ns < REPLAY_NS

    def _end(self, one: EngineKey, ended: TrialPassed | TrialFailed) -> None:
        one.trial.counts = None
        match ended:
            case TrialPassed(why, doubt):
                self._state.apply(slots.commit, one.key, self._state.wall_s(), why)
                if doubt:
                    self._state.apply(slots.doubt, one.key, doubt, self._state.wall_s())
                self._serving.select(one)
            case TrialFailed(code, why):
                self.fail(one, code, why)

    def _strike(self, one: EngineKey, why: str) -> None:
        self._state.apply(slots.strike, one.key, why, self._state.wall_s())
        self._serving.select(one)


def _at_fault(one: EngineKey, death: Death) -> bool:
    """Whether a model on trial was at work when the worker died, or was being loaded, or is what hung."""
    if one.trial.counts is None:
        return True
    return f"{LOOP} {one.key} " in death.how if death.hung else one.key in death.blamed
