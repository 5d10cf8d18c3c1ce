"""The models of all pipelines: what is dropped, vetted, tried, kept. Control's side; the rules are in `store/`.

Each turn looks what has become possible: examine a model, begin a trial, end one. What is to serve is always what the
state says (`Slots.serving`), so a restart continues where an end came, whenever it came.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import msgspec

from inferd import ipc
from inferd.bundled import bundled
from inferd.config import settings
from inferd.dropped import DropFolder
from inferd.errors import ModelRefused, StoreError
from inferd.examination import LIMITS, Accepted, Examination, Rejected
from inferd.following import Followed, Job, group, names, release
from inferd.histogram import HistogramData
from inferd.life import Life
from inferd.store import slots
from inferd.store.items import Item
from inferd.store.slots import Wish
from inferd.store.state import Slots, State, Verdict, Version
from inferd.store.trial import Failed, Passed, Terms, Watched
from inferd.supervisor import Death
from inferd.system.clock import Clock
from inferd.system.processes import Exit
from inferd.system.progress import SLOTS
from inferd.system.seed import Seed

__all__ = ["Concluded", "Followed", "Models", "names"]

log = logging.getLogger(__name__)

FACTORY = "the model that comes with inferd"
VET_DEATHS = 2
AGAIN_NS = 30_000_000_000  # before what was not the model's fault is tried again
WRONG_ACCELERATOR = "wrong_accelerator"  # the code of a model that needs one which does not work here
FAULTS = ("SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL")


@dataclass(frozen=True, slots=True)
class Concluded:
    """A verdict, and whether a model that is to serve is another one than before."""

    followed: Followed
    verdict: Accepted | Rejected
    changed: bool


class Models:
    """All engine keys of the configuration. Owned by control's main thread."""

    def __init__(
        self, life: Life, drop: DropFolder, options: settings.Models, circumstances: str, clock: Clock
    ) -> None:
        """Follow nothing yet.

        Args:
            life: the store.
            drop: the drop folder.
            options: what a model must show.
            circumstances: runtime and its version, accelerator, board: what a verdict holds for.
            clock: times everything.
        """
        self.life = life
        self.followed: dict[str, Followed] = {}
        self._drop = drop
        self._options = options
        self._circumstances = circumstances
        self._clock = clock
        self._changed: set[str] = set()
        self._retired_old = False

    def follow(self, pipelines: Sequence[settings.Pipeline]) -> set[str]:
        """Follow the models of these pipelines from now on, let go of what is no longer named; return what changed."""
        wanted = group(pipelines)
        for key in [key for key in self.followed if key not in wanted]:
            self._forget(self.followed.pop(key))
        free = (slot for slot in range(1, SLOTS) if slot not in {one.slot for one in self.followed.values()})
        changed = {
            key
            for key, members in wanted.items()
            if key not in self.followed or self.followed[key].pipelines != members
        }
        for key in changed:
            if key not in self.followed:
                self.followed[key] = Followed(key, next(free), wanted[key])
            elif self.followed[key].repurpose(wanted[key]):
                log.info("models of %s are examined again: they are run in another way", key)
        self.look_again()
        return changed

    def look_again(self) -> None:
        """Have every configured path examined, and every item of the drop folder that a new key follows."""
        for one in self.followed.values():
            one.look_again_ns = 1 if one.path or self._wants_factory(one) else 0

    def look_again_everywhere(self) -> None:
        """Have everything in the drop folder judged again, as if it had just been dropped."""
        self.life.take(slots.unsee)
        self._drop.all_again()
        self.look_again()

    def turn(self, seed: Seed) -> None:
        """Do what has become possible.

        Raises:
            WorkerError: the seed is gone.
        """
        self._look()
        for one in self.followed.values():
            self._mind_trial(one)
            if one.examination is None:
                self._next(one, seed)
            elif self._clock.monotonic_ns() > one.due_ns:
                one.examination.give_up()
        self.life.mind()

    def take_changed(self) -> set[str]:
        """Return the keys whose model has changed since the last call, to be offered to the worker."""
        changed, self._changed = self._changed, set()
        return changed

    def conclude(self, pid: int, ended: Exit) -> Concluded | None:
        """Return the verdict of the vet child that has ended; None where `pid` is none of ours."""
        for one in self.followed.values():
            if one.examination is not None and one.examination.child.pid == pid:
                verdict = _complete(one.examination.conclude(ended))
                one.examination = None
                before = one.accepted
                self.life.take(slots.end_vetting)
                if one.job.dropped is not None and not (isinstance(verdict, Rejected) and verdict.again):
                    mark = f"{one.job.dropped.fingerprint} {self.verdict_key(one)}"
                    self.life.take(slots.see, one.key, one.job.item, mark)
                if isinstance(verdict, Accepted):
                    self._accepted(one, verdict)
                else:
                    self._rejected(one, verdict)
                return Concluded(one, verdict, changed=one.accepted is not before)
        return None

    def lose_children(self) -> None:
        """Take it that all vet children are gone, because their seed is."""
        for one in self.followed.values():
            if one.examination is not None and one.job.dropped is not None:
                self._drop.again(one.job.dropped)
            one.examination = None
        self.look_again()

    def heard(self, message: ipc.FromWorker) -> None:
        """Take what the worker says of models."""
        match message:
            case ipc.Taken():
                self.taken(message.engine_key, message.ref.digest)
            case ipc.Counts():
                self.counted(message)
            case ipc.Refused():
                self.not_loaded(message.engine_key, message.ref.digest, message.why)

    def without(self) -> list[Followed]:
        """Return the keys that have no model, and for which none is being examined."""
        return [
            one
            for one in self.followed.values()
            if one.accepted is None and one.examination is None and not one.todo and not one.look_again_ns
        ]

    def taken(self, key: str, digest: str) -> None:
        """Take it that the worker serves this model now; if it is on trial, its trial begins."""
        one = self.followed.get(key)
        if one is None:
            return
        one.serves = digest
        trial = self._slots(one).trial
        if trial is not None and trial.digest == digest and one.accepted is not None:
            options, budget = self._options, one.accepted.description.manifest.budget
            terms = Terms(options.trial_s, options.trial_results, options.trial_errors, budget.latency_p95_ms)
            one.watched = Watched(terms, self._clock.monotonic_ns())
            one.mixed = set(names(one.pipelines))

    def counted(self, counts: ipc.Counts) -> None:
        """Take what the worker counted."""
        for one in self.followed.values():
            if one.watched is None:
                continue
            for name in names(one.pipelines):
                if (told := counts.pipelines.get(name)) is None:
                    continue
                if name in one.mixed:  # in this second the model before gave results, too
                    one.mixed.discard(name)
                    one.watched.add(0, told.frames_dropped, HistogramData())
                else:
                    one.watched.add(told.frames_inferred, told.frames_dropped, told.latency["total"])
            self._mind_trial(one)

    def not_loaded(self, key: str, digest: str, why: str) -> None:
        """Take it that the worker could not load a model that it was offered."""
        one = self.followed.get(key)
        trial = self._slots(one).trial if one else None
        if one is not None and trial is not None and trial.digest == digest:
            self._fail(one, "load_failed", why)

    def worker_ended(self, death: Death, excused: Collection[str] = ()) -> None:
        """Take it that the worker died: a model on trial is blamed if it was at work, or was being loaded.

        Args:
            death: how the worker ended, and who was at work.
            excused: keys whose models are not to blame: an accelerator did it, or we wanted another worker.
        """
        trials = [one for one in self.followed.values() if self._slots(one).trial and one.key not in excused]
        blamed = [one for one in trials if _at_fault(one, death)]
        for one in blamed or (trials if not death.blamed else []):
            if one in blamed and (death.hung or any(fault in death.how for fault in FAULTS)):
                how = death.how if death.hung else f"the worker {death.how}"
                self._fail(one, "hang" if death.hung else "crash", f"{how} while it was on trial")
            else:
                self._strike(one, f"the worker {death.how} again while it was on trial")
        for one in self.followed.values():
            one.serves, one.watched = "", None

    def accepted(self) -> list[Followed]:
        """Return the keys that have a model."""
        return [one for one in self.followed.values() if one.accepted is not None]

    def of_pipeline(self, name: str) -> Followed | None:
        """Return the key that serves a pipeline; None where it is no longer configured."""
        return next((one for one in self.followed.values() if name in names(one.pipelines)), None)

    def verdict_key(self, one: Followed) -> str:
        """Return what a verdict must have been found under to hold for this key."""
        return f"{self._circumstances}, {one.way}"

    def close(self) -> None:
        """Let go of everything. Twice is fine."""
        for one in self.followed.values():
            self._forget(one)
        self.followed.clear()

    def reconsider(self, one: Followed) -> None:
        """Have what is to serve follow the state again, after a person or a trial has changed it."""
        self._serve(one)

    def _slots(self, one: Followed) -> Slots:
        return self.life.state.of(one.key)

    def _look(self) -> None:
        """Take what has changed in the drop folder."""
        changes = self._drop.changes()
        for path, why in changes.refused.items():
            log.warning("model refused: %s %s", path, why)
            self.life.take(_note_refused, path, why, self.life.wall_s())
        for name in changes.gone:
            self.life.take(slots.retire, name, self.life.wall_s())
            for one in self.followed.values():
                one.todo.pop(name, None)
        for item in changes.settled:
            for one in self.followed.values():
                if one.follows(item) and not self._seen(one, item):
                    one.todo[item.name] = item
        if self._drop.seen and not self._retired_old:
            self._retired_old = True
            self._retire_old()

    def _seen(self, one: Followed, item: Item) -> bool:
        """Whether these very files were judged before, under the present circumstances."""
        return self.life.state.seen.get(f"{one.key} | {item.name}") == f"{item.fingerprint} {self.verdict_key(one)}"

    def _retire_old(self) -> None:
        """Retire what went from the drop folder while nobody looked."""
        there = self._drop.names()
        for version in list(self.life.state.versions.values()):
            for item in version.items:
                if not item.startswith("/") and item != FACTORY and item not in there:
                    self.life.take(slots.retire, item, self.life.wall_s())

    def _next(self, one: Followed, seed: Seed) -> None:
        """Start the vet child that this key needs first, if it needs one."""
        now = self._slots(one)
        if now.serving and now.serving not in one.held:
            self._examine_stored(one, now.serving, seed)
        elif self._clock.monotonic_ns() < one.wait_until_ns:
            return
        elif now.trial is None and (chosen := self._choice(one)):
            if chosen in one.held:
                self._begin(one, chosen)
            else:
                self._examine_stored(one, chosen, seed)
        elif now.trial is None:
            self._examine_new(one, seed)

    def _choice(self, one: Followed) -> str:
        wish = self._wish(one)
        return slots.choose(self.life.state, one.key, wish, self.verdict_key(one))

    def _wish(self, one: Followed) -> Wish:
        return one.wish(item for version in self.life.state.versions.values() for item in version.items)

    def _wants_factory(self, one: Followed) -> bool:
        """Whether the model that comes with inferd may serve, where there is no other."""
        task = one.named.overrides.task
        return not one.named.model and one.named.engine.kind != "fake" and task in (None, "classify")

    def _examine_stored(self, one: Followed, digest: str, seed: Seed) -> None:
        """Have a stored model loaded once; all gates again where its verdict was found under other circumstances."""
        version = self.life.state.versions.get(digest)
        if version is None or not self.life.shelf.has(digest):
            self._lost(one, digest, f"{self.life.state.title(digest)} is no longer in the store")
            return
        verdict = self._slots(one).verdicts.get(digest)
        stale = verdict is None or verdict.key != self.verdict_key(one)
        request = self._request(one, str(self.life.shelf.path(digest, version.root)), gates=stale)
        self._start(one, Job(digest=digest), msgspec.structs.replace(request, store_dir=""), seed)

    def _examine_new(self, one: Followed, seed: Seed) -> None:
        """Have the next new model vetted: what was dropped, or the configured path."""
        if any(other.examination is not None and not other.job.digest for other in self.followed.values()):
            return  # one at a time: a small board has no room for two
        if one.todo:
            item = one.todo.pop(next(iter(one.todo)))
            path = str(self._drop.folder / item.path)
            request = msgspec.structs.replace(self._request(one, path, gates=True), files=self._drop.listed(item))
            if not self._is_dangerous(item):
                self._start(one, Job(item.name, item), request, seed)
        elif one.look_again_ns and self._clock.monotonic_ns() >= one.look_again_ns:
            one.look_again_ns = 0
            if one.path:
                self._start(one, Job(one.path), self._request(one, one.path, gates=not one.unstored), seed)
            elif one.accepted is None:
                self._start(one, Job(FACTORY), self._request(one, str(bundled("digits")), gates=True), seed)

    def _is_dangerous(self, item: Item) -> bool:
        """Refuse an item over which the device went down, more than once, while it was vetted."""
        deaths = self.life.state.vet_deaths.get(item.fingerprint, 0)
        if deaths >= VET_DEATHS:
            why = (
                f"the device went down {deaths} times while it was vetted; it is not tried again until its bytes change"
            )
            self.life.take(_note_refused, item.name, why, self.life.wall_s())
        else:
            self.life.take(slots.start_vetting, item.fingerprint, self.life.boot_id)
        return deaths >= VET_DEATHS

    def _request(self, one: Followed, path: str, *, gates: bool) -> ipc.Examine:
        state, now, key = self.life.state, self._slots(one), self.verdict_key(one)
        refused = [digest for digest, said in now.verdicts.items() if not said.accepted and said.key == key]
        trusted = [digest for digest, said in now.verdicts.items() if said.accepted and said.key == key]
        active = state.versions.get(now.active)
        if active is not None and FACTORY in active.items:
            active = None  # whatever somebody drops need not be like the model that comes with inferd
        return ipc.Examine(
            path,
            one.named.overrides,
            one.named.engine,
            str(self.life.state_dir),
            gates=gates,
            against=str(self.life.shelf.path(active.digest, active.root)) if active and gates else "",
            slower_max=self._options.slower_max,
            stop_at=(*state.quarantine, *refused) if gates else (),
            trusted=tuple(trusted),
        )

    def _start(self, one: Followed, job: Job, request: ipc.Examine, seed: Seed) -> None:
        limits = LIMITS
        if request.gates:
            limits = msgspec.structs.replace(
                LIMITS, memory_mb=self._options.vet_memory_mb, cpu_s=int(2 * self._options.vet_deadline_s)
            )
        one.job = job
        one.examination = Examination(seed, request, limits)
        one.due_ns = self._clock.monotonic_ns() + int(self._options.vet_deadline_s * 1e9)

    def _accepted(self, one: Followed, verdict: Accepted) -> None:
        """Take a model that passed: to serve, to be tried, or to be kept."""
        ref, job = verdict.description.ref, one.job
        if one.unstored:
            self._replace(one, verdict)
            return
        if job.digest and ref.digest != job.digest:
            release(verdict)
            self._lost(one, job.digest, f"{self.life.state.title(job.digest)} is damaged on the disk")
            return
        self._hold(one, verdict)
        if job.item:
            self.life.take(slots.arrive, _version(verdict), job.item, self.life.wall_s())
        if verdict.report is not None and verdict.report.gates:
            self.life.take(
                slots.judge, one.key, ref.digest, Verdict(self.verdict_key(one), True, at=self.life.wall_s())
            )
        chosen = self._choice(one)
        if chosen and chosen in one.held and self._clock.monotonic_ns() >= one.wait_until_ns:
            self._begin(one, chosen)
        elif ref.digest not in self._slots(one).held:
            log.info("model kept: %s does not serve %s, which has a newer or pinned one", ref.title, one.key)
        self._serve(one)

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

    def _rejected(self, one: Followed, verdict: Rejected) -> None:
        """Take a model that was refused."""
        job, at = one.job, self.life.wall_s()
        if verdict.again:
            log.warning("%s; it is tried again", verdict.error)
            self._retry(one)
        elif job.digest:
            self._lost(one, job.digest, str(verdict.error))
        elif verdict.code == WRONG_ACCELERATOR and one.path:
            if one.refused != str(verdict.error):  # told once, and tried again: what it needs may be plugged in
                self.life.take(_note_refused, verdict.error.part, verdict.error.message, at, one.key)
            one.refused = str(verdict.error)
            self._retry(one)
        elif verdict.code == "known":
            self._tell_known(one, verdict, at)
        else:
            digest = verdict.description.ref.digest if verdict.description else ""
            if digest:
                said = Verdict(self.verdict_key(one), False, verdict.code, verdict.error.message, at)
                title = verdict.description.ref.title if verdict.description else ""
                self.life.take(slots.judge, one.key, digest, said, title)
            else:
                self.life.take(_note_refused, verdict.error.part, verdict.error.message, at, one.key)
        if job.dropped is not None and not verdict.again:
            self.life.take(slots.retire, job.item, at)  # whatever it held before is gone

    def _tell_known(self, one: Followed, verdict: Rejected, at: float) -> None:
        """Tell why bytes that were refused before are not tried again."""
        digest = verdict.description.ref.digest if verdict.description else ""
        state = self.life.state
        held_against = state.quarantine.get(digest) or self._slots(one).verdicts.get(digest)
        why = f"was refused before: {held_against.why}" if held_against else "was refused before"
        self.life.take(_note_refused, verdict.error.part, why, at, one.key)

    def _retry(self, one: Followed) -> None:
        if one.job.dropped is not None:
            self._drop.again(one.job.dropped)
        elif not one.job.digest:
            one.look_again_ns = self._clock.monotonic_ns() + AGAIN_NS

    def _lost(self, one: Followed, digest: str, why: str) -> None:
        """Take it that a stored model cannot serve after all."""
        now = self._slots(one)
        if now.trial is not None and now.trial.digest == digest:
            self._fail(one, "load_failed", why)
        elif now.active == digest:
            self.life.take(slots.unseat, one.key, why, self.life.wall_s())
            one.look_again_ns = 1
            self._serve(one)
        else:
            said = Verdict(self.verdict_key(one), False, "lost", why, self.life.wall_s())
            self.life.take(slots.judge, one.key, digest, said)

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

    def _mind_trial(self, one: Followed) -> None:
        if one.watched is None:
            return
        match one.watched.verdict(self._clock.monotonic_ns()):
            case Passed(why):
                one.watched = None
                self.life.take(slots.commit, one.key, self.life.wall_s(), why)
                self._serve(one)
                if not any(other.examination for other in self.followed.values()):
                    self.life.tidy()
            case Failed(code, why):
                self._fail(one, code, why)

    def _fail(self, one: Followed, code: str, why: str) -> None:
        one.watched = None
        self.life.take(slots.fail, one.key, code, why, self.life.wall_s())
        self._serve(one)

    def _strike(self, one: Followed, why: str) -> None:
        self.life.take(slots.strike, one.key, why, self.life.wall_s())
        self._serve(one)

    def _forget(self, one: Followed) -> None:
        if one.examination is not None:
            one.examination.give_up()
        one.let_go()


def _at_fault(one: Followed, death: Death) -> bool:
    """Whether a model on trial was at work when the worker died, or was being loaded, or is what hung."""
    if one.watched is None:
        return True
    return f"its loop {one.key} " in death.how if death.hung else one.key in death.blamed


def _version(verdict: Accepted) -> Version:
    ref = verdict.description.ref
    return Version(
        ref.digest,
        ref.name,
        ref.version,
        verdict.description.manifest.model.task or "raw",
        root=verdict.root,
        size_bytes=verdict.size_bytes,
        verified=verdict.report is not None and verdict.report.verified,
    )


def _note_refused(state: State, what: str, why: str, at: float, key: str = "") -> State:
    """Note that something was refused before it could be identified."""
    return state.noted("model.refused", "", at, why, key, what)


def _complete(verdict: Accepted | Rejected) -> Accepted | Rejected:
    """Refuse a model that runs, but of which it is not known how a frame becomes its input or its output a result."""
    if isinstance(verdict, Rejected) or not verdict.description.missing:
        return verdict
    release(verdict)
    description = verdict.description
    return Rejected(ModelRefused(description.ref.name, "; ".join(description.missing)), description, "incomplete")
