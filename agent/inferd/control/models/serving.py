"""Which model serves each engine key: what the worker says of it, how its trial goes, what follows from that.

Control's side; the rules are in `store/lifecycle/slots.py` and `store/lifecycle/trial.py`. Where models come from is `models.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from inferd import ipc
from inferd.config import settings
from inferd.control.models.drop_folder import DropFolder
from inferd.control.models.engine_keys import Followed, names, release
from inferd.control.models.model_state import PersistentModelState
from inferd.control.models.shadow_replay import as_meant, count, question
from inferd.control.processes.supervisor import LOOP, Death
from inferd.control.processes.vet_job import Accepted
from inferd.errors import StoreError
from inferd.store.description.bundle import variant_of
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.slots import ModelSelection
from inferd.store.lifecycle.state import FACTORY, KeySlots
from inferd.store.lifecycle.trial import SLOW, TrialCounts, TrialFailed, TrialPassed, TrialTerms
from inferd.system.clock import Clock

log = logging.getLogger(__name__)

AGAIN_NS = 30_000_000_000  # before what was not the model's fault is tried again
REPLAY_NS = 120_000_000_000  # within which the worker answers: loading may take half of it, a slow model 30 s
FAULTS = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")


@dataclass(frozen=True, slots=True)
class ModelEnvironment:
    """Where models live and what is asked of them there.

    Attributes:
        life: the store.
        drop: the drop folder.
        options: what a model must show.
        circumstances: runtime and its version, accelerator, board: what a verdict holds for.
        clock: times everything.
        core_w: what a busy core of this board draws; 0 where nobody knows.
    """

    life: PersistentModelState
    drop: DropFolder
    options: settings.ModelsConfig
    circumstances: str
    clock: Clock
    core_w: float = 0.0


class Serving:
    """All engine keys and the model of each. Owned by control's main thread."""

    def __init__(self, place: ModelEnvironment) -> None:
        """Serve nothing yet."""
        self.life = place.life
        self.followed: dict[str, Followed] = {}
        self._drop = place.drop
        self._options = place.options
        self._circumstances = place.circumstances
        self._clock = place.clock
        self._core_w = place.core_w
        self._changed: set[str] = set()
        self._questions: list[str] = []

    def heard(self, message: ipc.FromWorker) -> None:
        """Take what the worker says of models."""
        match message:
            case ipc.OfferTaken():
                self.taken(message.engine_key, message.ref.digest)
            case ipc.Counts():
                self.counted(message)
            case ipc.OfferRefused():
                self.not_loaded(message.engine_key, message.ref.digest, message.why)
            case ipc.ShadowReplayDone():
                self.replayed(message)

    def taken(self, key: str, digest: str) -> None:
        """Take it that the worker serves this model now; if it is on trial, its trial begins."""
        one = self.followed.get(key)
        if one is None:
            return
        one.serves, one.offer_again_ns = digest, 0
        trial = self._slots(one).trial
        if trial is not None and trial.digest == digest and one.accepted is not None:
            options, budget = self._options, one.accepted.description.manifest.budget
            terms = TrialTerms(options.trial_s, options.trial_results, options.trial_errors, budget.latency_p95_ms)
            one.watched = TrialCounts(terms, self._clock.monotonic_ns())
            one.mixed = set(names(one.pipelines))

    def counted(self, counts: ipc.Counts) -> None:
        """Take what the worker counted."""
        for one in self.followed.values():
            for name in names(one.pipelines):
                if (told := counts.pipelines.get(name)) is not None:
                    count(one, name, told)
            self._mind_trial(one)

    def replayed(self, told: ipc.ShadowReplayDone) -> None:
        """Take what came of showing the model on trial and the one before the same frames."""
        one = self.followed.get(told.engine_key)
        trial = self._slots(one).trial if one else None
        if one is None or one.watched is None or trial is None or trial.digest != told.digest:
            return
        told = as_meant(told, one, self._slots(one))
        if (ended := one.watched.settle(self._clock.monotonic_ns(), told, one.usual.took)) is not None:
            self._end_trial(one, ended)

    def take_questions(self) -> list[tuple[ipc.ShadowReplay, list[int]]]:
        """Return what the worker is to be asked about models on trial, with the descriptor of the model before."""
        asked, self._questions = self._questions, []
        now_ns, followed = self._clock.monotonic_ns(), [self.followed[key] for key in asked if key in self.followed]
        return [question(one, self._slots(one), now_ns) for one in followed if one.watched and one.watched.asked_ns]

    def cannot_serve(self, key: str) -> None:
        """Take it that the worker serves nothing for a key now; its trial begins anew, and again when it serves."""
        one = self.followed.get(key)
        if one is not None and one.serves:
            one.serves = ""
            one.watched = one.watched and TrialCounts(one.watched.terms, self._clock.monotonic_ns())

    def not_loaded(self, key: str, digest: str, why: str) -> None:
        """Take it that the worker could not load a model that it was offered."""
        one = self.followed.get(key)
        trial = self._slots(one).trial if one else None
        if one is not None and trial is not None and trial.digest == digest:
            self._fail(one, "load_failed", why)
        elif one is not None and one.accepted is not None:  # it served before, and may have made room for itself
            one.offer_again_ns = self._clock.monotonic_ns() + AGAIN_NS

    def offer_again(self) -> None:
        """Have the worker offered again what it could not load a while ago."""
        for one in self.followed.values():
            if 0 < one.offer_again_ns <= self._clock.monotonic_ns():
                one.offer_again_ns = 0
                self._changed.add(one.key)

    def worker_ended(self, death: Death, excused: Collection[str] = ()) -> None:
        """Take it that the worker died: a model on trial is blamed if it was at work, or was being loaded.

        Args:
            death: how the worker ended, and who was at work.
            excused: keys whose models are not to blame: an accelerator did it, or we wanted another worker.
        """
        trials = [one for one in self.followed.values() if self._slots(one).trial and one.key not in excused]
        if death.replaying:
            self._give_up_replay(trials, death)
            trials = []
        if death.cause in ("grown", "starved"):  # who took the memory need not have been at work when it was gone
            self._blame_for_memory(trials, death)
            trials = []
        blamed = [one for one in trials if _at_fault(one, death)]
        for one in blamed or (trials if not death.blamed else []):
            if one in blamed and (death.hung or any(fault in death.how for fault in FAULTS)):
                how = death.how if death.hung else f"the worker {death.how}"
                self._fail(one, "hang" if death.hung else "crash", f"{how} while it was on trial")
            else:
                self._strike(one, f"the worker {death.how} again while it was on trial")
        for one in self.followed.values():
            one.serves, one.watched = "", None

    def _give_up_replay(self, trials: Sequence[Followed], death: Death) -> None:
        """Take models on trial whose replay the worker did not outlive: not again, and not back to the model before."""
        for one in trials:
            if one.watched is not None and one.watched.asked_ns:
                self._end_trial(
                    one, TrialPassed(doubt=f"the worker {death.how} while the model before was shown its frames")
                )

    def _blame_for_memory(self, trials: Sequence[Followed], death: Death) -> None:
        """Blame the models on trial; where the kernel chose whom to kill, it may be another program's doing."""
        for one in trials:
            if death.cause == "grown":
                self._fail(one, "memory", f"the worker {death.how} while it was on trial")
            else:
                self._strike(one, f"the worker {death.how} again while it was on trial")

    def accepted(self) -> list[Followed]:
        """Return the keys that have a model."""
        return [one for one in self.followed.values() if one.accepted is not None]

    def of_pipeline(self, name: str) -> Followed | None:
        """Return the key that serves a pipeline; None where it is no longer configured."""
        return next((one for one in self.followed.values() if name in names(one.pipelines)), None)

    def verdict_key(self, one: Followed) -> str:
        """Return what a verdict must have been found under to hold for this key."""
        return f"{self._circumstances}, {one.way}"

    def reconsider(self, one: Followed) -> None:
        """Have what is to serve follow the state again, after a person or a trial has changed it."""
        self._serve(one)

    def take_changed(self) -> set[str]:
        """Return the keys whose model has changed since the last call, to be offered to the worker."""
        changed, self._changed = self._changed, set()
        return changed

    def _slots(self, one: Followed) -> KeySlots:
        return self.life.state.of(one.key)

    def _choice(self, one: Followed) -> str:
        if self._slots(one).active and any(variant_of(name) for name in one.todo):
            return ""  # all variants are measured before one of them is chosen
        wish = self._wish(one)
        return slots.choose(self.life.state, one.key, wish, self.verdict_key(one))

    def _wish(self, one: Followed) -> ModelSelection:
        return one.wish(item for version in self.life.state.versions.values() for item in version.items)

    def _begin(self, one: Followed, digest: str) -> None:
        """Write down the switch, then make it."""
        try:
            self.life.intend(slots.begin, one.key, digest, self.life.boot_id, self.life.wall_s())
        except StoreError as exc:
            log.warning("%s; %s is not tried before that is mended", exc, self.life.state.title(digest))
            one.wait_until_ns = self._clock.monotonic_ns() + AGAIN_NS
            return
        self._serve(one)

    def _serve(self, one: Followed) -> None:
        """Have the model serve that is to, by the state; let go of those that nobody needs any more."""
        now = self._slots(one)
        one.replay_mb = self._options.replay_mb if self._has_before(one) else 0.0
        wanted = one.held.get(now.serving)
        before = one.accepted
        if wanted is not before:
            one.accepted, one.watched = wanted, None
            self._changed.add(one.key)
            if before is not None and before not in one.held.values():
                release(before)
        one.let_go(keep=now.held)

    def _replace(self, one: Followed, verdict: Accepted) -> None:
        """Take a model that is not stored."""
        if one.accepted is None or one.accepted.description != verdict.description:
            one.accepted = verdict
            self._changed.add(one.key)

    def _hold(self, one: Followed, verdict: Accepted) -> None:
        """Keep a model's file open; one that is held already, and described in the same way, stays."""
        digest = verdict.description.ref.digest
        before = one.held.get(digest)
        if before is not None and before.description == verdict.description:
            release(verdict)
            return
        if before is not None and before is not one.accepted:
            release(before)
        one.held[digest] = verdict

    def _mind_trial(self, one: Followed) -> None:
        if one.watched is None:
            return
        ended = one.watched.verdict(self._clock.monotonic_ns())
        if ended is not None and not self._awaits_replay(one, one.watched, ended):
            self._end_trial(one, ended)

    def _awaits_replay(self, one: Followed, watched: TrialCounts, ended: TrialPassed | TrialFailed) -> bool:
        """Whether both models are to be shown the same frames first, because what was seen may be the world's doing."""
        if (isinstance(ended, TrialFailed) and ended.code != SLOW) or not self._has_before(one):
            return False
        now_ns = self._clock.monotonic_ns()
        if not watched.asked_ns:
            watched.asked_ns = now_ns
            self._questions.append(one.key)
        return now_ns - watched.asked_ns < REPLAY_NS

    def _has_before(self, one: Followed) -> bool:
        """Whether a model is on trial that another one made room for; the one that comes with inferd tells nothing of it."""
        now, versions = self._slots(one), self.life.state.versions
        factory = now.active in versions and FACTORY in versions[now.active].items
        return now.trial is not None and now.active not in ("", now.trial.digest) and not factory

    def _end_trial(self, one: Followed, ended: TrialPassed | TrialFailed) -> None:
        one.watched = None
        match ended:
            case TrialPassed(why, doubt):
                self.life.take(slots.commit, one.key, self.life.wall_s(), why)
                if doubt:
                    self.life.take(slots.doubt, one.key, doubt, self.life.wall_s())
                self._serve(one)
            case TrialFailed(code, why):
                self._fail(one, code, why)

    def _fail(self, one: Followed, code: str, why: str) -> None:
        one.watched = None
        self.life.take(slots.fail, one.key, code, why, self.life.wall_s())
        self._serve(one)

    def _strike(self, one: Followed, why: str) -> None:
        self.life.take(slots.strike, one.key, why, self.life.wall_s())
        self._serve(one)


def _at_fault(one: Followed, death: Death) -> bool:
    """Whether a model on trial was at work when the worker died, or was being loaded, or is what hung."""
    if one.watched is None:
        return True
    return f"{LOOP} {one.key} " in death.how if death.hung else one.key in death.blamed
