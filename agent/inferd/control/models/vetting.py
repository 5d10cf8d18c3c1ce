"""Has models examined by vet children, and takes their verdicts: what is stored, what was dropped, what a path holds.

Control's side, beside `vet_job.py`, which asks one child about one model.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import msgspec

from inferd import ipc
from inferd.bundled_files import bundled
from inferd.control.models.engine_keys import Followed, Job, release
from inferd.control.models.serving import AGAIN_NS, Serving
from inferd.control.processes.vet_job import KILLED, LIMITS, Accepted, Rejected, VetJob
from inferd.errors import ModelRefused
from inferd.store.drop_folder.items import Item
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.state import FACTORY, LifecycleState, Measurements, Version, VetVerdict
from inferd.store.lifecycle.variants import told, version_of
from inferd.system.processes.fork_server import ForkServer
from inferd.system.processes.process import Exit
from inferd.wire.vetting import VetReport

log = logging.getLogger(__name__)

VET_DEATHS = 2
WRONG_ACCELERATOR = "wrong_accelerator"  # the code of a model that needs one which does not work here


@dataclass(frozen=True, slots=True)
class Concluded:
    """A verdict, and whether a model that is to serve is another one than before."""

    followed: Followed
    verdict: Accepted | Rejected
    changed: bool


class Vetting(Serving):
    """All engine keys, and the vet child of each. Owned by control's main thread."""

    def conclude(self, pid: int, ended: Exit) -> Concluded | None:
        """Return the verdict of the vet child that has ended; None where `pid` is none of ours."""
        for one in self.followed.values():
            if one.examination is not None and one.examination.child.pid == pid:
                verdict = self._forgive(one, _complete(one.examination.conclude(ended)))
                one.examination = None
                before = one.accepted
                self.life.take(slots.end_vetting)
                if one.job.dropped is not None and not _may_change(verdict):
                    mark = f"{one.job.dropped.fingerprint} {self.verdict_key(one)}"
                    self.life.take(slots.see, one.key, one.job.item, mark)
                if isinstance(verdict, Accepted):
                    self._accepted(one, verdict)
                else:
                    self._rejected(one, verdict)
                return Concluded(one, verdict, changed=one.accepted is not before)
        return None

    def _forgive(self, one: Followed, verdict: Accepted | Rejected) -> Accepted | Rejected:
        """Have a model tried once more whose vet child was killed, which may be somebody else's doing; twice is its own."""
        before, one.killed = one.killed, one.job
        if isinstance(verdict, Rejected) and verdict.code == KILLED:
            return replace(verdict, again=before != one.job)
        one.killed = None
        return verdict

    def _next(self, one: Followed, seed: ForkServer) -> None:
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

    def _wants_factory(self, one: Followed) -> bool:
        """Whether the model that comes with inferd may serve, where there is no other."""
        task = one.named.overrides.task
        return not one.named.model and one.named.engine.kind != "fake" and task in (None, "classify")

    def _examine_stored(self, one: Followed, digest: str, seed: ForkServer) -> None:
        """Have a stored model loaded once; all gates again where its verdict was found under other circumstances."""
        version = self.life.state.versions.get(digest)
        if version is None or not self.life.shelf.has(digest):
            self._lost(one, digest, f"{self.life.state.title(digest)} is no longer in the store")
            return
        verdict = self._slots(one).verdicts.get(digest)
        stale = verdict is None or verdict.key != self.verdict_key(one)
        request = self._request(one, str(self.life.shelf.path(digest, version.root)), gates=stale)
        self._start(one, Job(digest=digest), msgspec.structs.replace(request, store_dir=""), seed)

    def _examine_new(self, one: Followed, seed: ForkServer) -> None:
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
            one.todo, one.later = {**one.later, **one.todo}, {}
            if one.path:
                self._start(one, Job(one.path), self._request(one, one.path, gates=not one.unstored), seed)
            elif one.accepted is None and self._wants_factory(one):
                self._start(one, Job(FACTORY), self._request(one, str(bundled("digits")), gates=True), seed)

    def _is_dangerous(self, item: Item) -> bool:
        """Refuse an item over which the device went down, more than once, while it was vetted."""
        deaths = self.life.state.vet_deaths.get(item.fingerprint, 0)
        if deaths >= VET_DEATHS:
            why = (
                f"the device went down {deaths} times while it was vetted; it is not tried again until its bytes change"
            )
            self.life.take(note_refused, item.name, why, self.life.wall_s())
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
            core_w=self._core_w,
            stop_at=(*state.quarantine, *refused) if gates else (),
            trusted=tuple(trusted),
        )

    def _start(self, one: Followed, job: Job, request: ipc.Examine, seed: ForkServer) -> None:
        limits = LIMITS
        if request.gates:
            limits = msgspec.structs.replace(
                LIMITS, memory_mb=self._options.vet_memory_mb, cpu_s=int(2 * self._options.vet_deadline_s)
            )
        one.job = job
        one.examination = VetJob(seed, request, limits)
        one.due_ns = self._clock.monotonic_ns() + int(self._options.vet_deadline_s * 1e9)

    def _accepted(self, one: Followed, verdict: Accepted) -> None:
        """Take a model that passed: to serve, to be tried, or to be kept."""
        ref, job = verdict.description.ref, one.job
        one.refused.clear()
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
            said = _accepting(verdict, verdict.report, self.verdict_key(one), self.life.wall_s())
            self.life.take(slots.judge, one.key, ref.digest, said)
        if job.dropped is not None and job.item not in self._drop.names():  # removed while it was vetted
            self.life.take(slots.retire, job.item, self.life.wall_s())
        chosen = self._choice(one)
        if chosen and chosen in one.held and self._clock.monotonic_ns() >= one.wait_until_ns:
            self._begin(one, chosen)
        elif ref.digest not in self._slots(one).held:
            log.info("model kept: %s does not serve %s, which has a newer or pinned one", ref.title, one.key)
        self._serve(one)

    def _rejected(self, one: Followed, verdict: Rejected) -> None:
        """Take a model that was refused."""
        job, at = one.job, self.life.wall_s()
        if verdict.again:
            log.warning("%s; it is tried again", verdict.error)
            self._retry(one)
        elif job.digest:
            self._lost(one, job.digest, str(verdict.error))
        elif verdict.code == WRONG_ACCELERATOR:
            if str(verdict.error) not in one.refused:  # told once, and tried again: what it needs may be plugged in
                self.life.take(note_refused, verdict.error.part, verdict.error.message, at, one.key)
            one.refused.add(str(verdict.error))
            self._wait_for_accelerator(one)
        elif verdict.code == "known":
            self._tell_known(one, verdict, at)
        else:
            digest = verdict.description.ref.digest if verdict.description else ""
            if digest:
                said = VetVerdict(self.verdict_key(one), False, verdict.code, verdict.error.message, at)
                title = verdict.description.ref.title if verdict.description else ""
                self.life.take(slots.judge, one.key, digest, said, title)
            else:
                self.life.take(note_refused, verdict.error.part, verdict.error.message, at, one.key)
        if job.dropped is not None and not verdict.again:
            self.life.take(slots.retire, job.item, at)  # whatever it held before is gone

    def _tell_known(self, one: Followed, verdict: Rejected, at: float) -> None:
        """Tell why bytes that were refused before are not tried again."""
        digest = verdict.description.ref.digest if verdict.description else ""
        state = self.life.state
        held_against = state.quarantine.get(digest) or self._slots(one).verdicts.get(digest)
        why = f"was refused before: {held_against.why}" if held_against else "was refused before"
        self.life.take(note_refused, verdict.error.part, why, at, one.key)

    def _retry(self, one: Followed) -> None:
        if one.job.dropped is not None:
            self._drop.again(one.job.dropped)
        elif not one.job.digest:
            one.look_again_ns = self._clock.monotonic_ns() + AGAIN_NS

    def _wait_for_accelerator(self, one: Followed) -> None:
        if one.job.dropped is not None:
            one.later[one.job.item] = one.job.dropped
        one.look_again_ns = one.look_again_ns or self._clock.monotonic_ns() + AGAIN_NS

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
            said = VetVerdict(self.verdict_key(one), False, "lost", why, self.life.wall_s())
            self.life.take(slots.judge, one.key, digest, said)


def _may_change(verdict: Accepted | Rejected) -> bool:
    """Whether a refusal is not the model's own fault, so that the same bytes are tried again."""
    return isinstance(verdict, Rejected) and (verdict.again or verdict.code == WRONG_ACCELERATOR)


def _version(verdict: Accepted) -> Version:
    return msgspec.structs.replace(
        version_of(verdict.description),
        root=verdict.root,
        size_bytes=verdict.size_bytes,
        verified=verdict.report is not None and verdict.report.verified,
    )


def _accepting(verdict: Accepted, report: VetReport, key: str, at: float) -> VetVerdict:
    """Return the verdict that accepts a model, with what the choice between variants needs; of a variant that is told."""
    found = {name: value for gate in report.gates for name, value in gate.figures.items()}
    figures = Measurements(found.get("invoke_min_ms", 0.0), found.get("private_mb", 0.0), found.get("accuracy"))
    variant = verdict.description.manifest.model.variant
    return VetVerdict(key, True, why=told(variant, figures) if variant else "", at=at, figures=figures)


def note_refused(state: LifecycleState, what: str, why: str, at: float, key: str = "") -> LifecycleState:
    """Note that something was refused before it could be identified."""
    return state.noted("model.refused", "", at, why, key, what)


def _complete(verdict: Accepted | Rejected) -> Accepted | Rejected:
    """Refuse a model that runs, but of which it is not known how a frame becomes its input or its output a result."""
    if isinstance(verdict, Rejected) or not verdict.description.missing:
        return verdict
    release(verdict)
    description = verdict.description
    return Rejected(ModelRefused(description.ref.name, "; ".join(description.missing)), description, "incomplete")
