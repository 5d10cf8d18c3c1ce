"""What waits to be vetted, one vet child at a time, and what becomes of each verdict. `vet_job.py` runs the child."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace

import msgspec

from inferd import ipc
from inferd.bundled_files import bundled
from inferd.control.models.candidate_queues import wants_factory
from inferd.control.models.engine_keys import EngineKey, EngineKeys, VetSubject, release
from inferd.control.models.select_serving import RETRY_NS, ModelEnvironment, ServingModels
from inferd.control.models.trials import Trials
from inferd.control.processes.vet_job import KILLED, LIMITS, Accepted, Rejected, VetJob
from inferd.errors import ForkRefused, ModelRefused
from inferd.store.drop_folder.items import Item
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.refusals import forget_refused_item, note_refused_item
from inferd.store.lifecycle.state import FACTORY, Measurements, RefusedItem, Version, VetVerdict
from inferd.store.lifecycle.variants import variant_summary, version_of
from inferd.system.processes.fork_server import ForkServer
from inferd.system.processes.process import Exit
from inferd.wire.vetting import VetReport

log = logging.getLogger(__name__)

VET_DEATHS = 2
FORK_RETRY_NS = 5_000_000_000  # after the kernel refused a vet child
CUT_OFF = "cut_off"  # the code of a model whose file ends too early: its copy may have stalled
STORE = "store"  # the code where the disk refused a copy of the model
WRONG_ACCELERATOR = "wrong_accelerator"  # the code of a model that needs one which does not work here


@dataclass(frozen=True, slots=True)
class Concluded:
    """A verdict, and whether it changed which model is to serve."""

    key: EngineKey
    verdict: Accepted | Rejected
    changed: bool


class VetQueue:
    """Runs vet children and applies their verdicts. Owned by control's main thread."""

    def __init__(self, keys: EngineKeys, serving: ServingModels, trials: Trials, environment: ModelEnvironment) -> None:
        """Vet what waits in the queues of `keys`; accepted models go to `serving`, lost ones end their trial."""
        self._keys = keys
        self._serving = serving
        self._trials = trials
        self._state = environment.state
        self._drop_folder = environment.drop_folder
        self._options = environment.options
        self._core_w = environment.core_w
        self._clock = environment.clock

    def advance(self, one: EngineKey, fork_server: ForkServer) -> None:
        """Start the vet child that a key needs next, or kill the one that takes too long.

        Raises:
            WorkerError: the fork server is gone.
        """
        if one.queue.job is None:
            self._start_next(one, fork_server)
        elif self._clock.monotonic_ns() > one.queue.due_ns:
            one.queue.job.give_up()

    def conclude(self, pid: int, ended: Exit) -> Concluded | None:
        """Apply the verdict of the vet child that has ended; None where `pid` is not a vet child."""
        for one in self._keys:
            if one.queue.job is not None and one.queue.job.child.pid == pid:
                return self._conclude(one, one.queue.job, ended)
        return None

    def lose_children(self) -> None:
        """Queue again what was examined: the fork server died, and all vet children with it."""
        for one in self._keys:
            if one.queue.job is not None and one.queue.subject.dropped is not None:
                self._drop_folder.again(one.queue.subject.dropped)
            elif one.queue.job is not None:
                self._queue_again(one, one.queue.subject, 0)
            one.queue.job = None

    def end_children(self, timeout_s: float) -> None:
        """Kill the vet children and wait for their end."""
        working = [one.queue.job for one in self._keys if one.queue.job is not None]
        for job in working:
            job.give_up()
        for job in working:
            job.child.wait_gone(timeout_s)

    def _conclude(self, one: EngineKey, job: VetJob, ended: Exit) -> Concluded:
        verdict = self._retry_killed(one, _complete(job.conclude(ended)))
        one.queue.job = None
        subject, before = one.queue.subject, one.selected
        if isinstance(verdict, Rejected) and verdict.code == CUT_OFF and subject.dropped is not None:
            verdict = replace(verdict, again=self._drop_folder.still_unfinished(subject.dropped))
        self._state.apply(slots.end_vetting)
        if subject.dropped is not None and not _may_change(verdict):
            mark = f"{subject.dropped.fingerprint} {self._serving.verdict_key(one)}"
            self._state.apply(slots.see, one.key, subject.item, mark)
        if isinstance(verdict, Accepted):
            self._accepted(one, subject, verdict)
        else:
            self._rejected(one, subject, verdict)
        return Concluded(one, verdict, changed=one.selected is not before)

    def _retry_killed(self, one: EngineKey, verdict: Accepted | Rejected) -> Accepted | Rejected:
        """Retry once a model whose vet child was killed: another program may be the cause; a second kill counts."""
        queue = one.queue
        before, queue.killed = queue.killed, queue.subject
        if isinstance(verdict, Rejected) and verdict.code == KILLED:
            return replace(verdict, again=before != queue.subject)
        queue.killed = None
        return verdict

    def _start_next(self, one: EngineKey, fork_server: ForkServer) -> None:
        now = self._serving.slots_of(one)
        if now.serving and now.serving not in one.held:
            self._examine_stored(one, now.serving, fork_server)
        elif self._clock.monotonic_ns() < one.wait_until_ns:
            return
        elif now.trial is None and (chosen := self._serving.choose(one)):
            if chosen in one.held:
                self._serving.begin(one, chosen)
            else:
                self._examine_stored(one, chosen, fork_server)
        elif now.trial is None:
            self._examine_new(one, fork_server)

    def _examine_stored(self, one: EngineKey, digest: str, fork_server: ForkServer) -> None:
        """Load a stored model once; run all gates again where its verdict was found under other circumstances."""
        version, bundles = self._state.state.versions.get(digest), self._state.bundles
        if version is None or not bundles.has(digest):
            self._lost(one, digest, f"{self._state.state.title(digest)} is no longer in the store")
            return
        verdict = self._serving.slots_of(one).verdicts.get(digest)
        stale = verdict is None or verdict.key != self._serving.verdict_key(one)
        request = self._request(one, str(bundles.path(digest, version.root)), gates=stale)
        self._start(one, VetSubject(digest=digest), msgspec.structs.replace(request, store_dir=""), fork_server)

    def _examine_new(self, one: EngineKey, fork_server: ForkServer) -> None:
        """Vet the next new model: from the drop folder, or at the configured path."""
        if any(other.queue.job is not None and not other.queue.subject.digest for other in self._keys):
            return  # one at a time: a small board has no room for two
        queue = one.queue
        if queue.waiting:
            item = queue.waiting.pop(next(iter(queue.waiting)))
            path = str(self._drop_folder.folder / item.path)
            files = self._drop_folder.listed(item)
            if not self._is_dangerous(item):
                request = msgspec.structs.replace(self._request(one, path, gates=True), files=files)
                self._start(one, VetSubject(item.name, item), request, fork_server)
        elif queue.look_again_ns and self._clock.monotonic_ns() >= queue.look_again_ns:
            queue.look_again_ns = 0
            queue.waiting, queue.deferred = {**queue.deferred, **queue.waiting}, {}
            if one.path:
                self._start(
                    one, VetSubject(one.path), self._request(one, one.path, gates=not one.unstored), fork_server
                )
            elif one.selected is None and wants_factory(one):
                request = self._request(one, str(bundled("digits")), gates=True)
                self._start(one, VetSubject(FACTORY), request, fork_server)

    def _is_dangerous(self, item: Item) -> bool:
        """Refuse an item if the device went down more than once while it was vetted."""
        deaths = self._state.state.vet_deaths.get(item.fingerprint, 0)
        if deaths >= VET_DEATHS:
            why = (
                f"the device went down {deaths} times while it was vetted; it is not tried again until its bytes change"
            )
            self._state.note_refused(item.name, why)
            refused = RefusedItem(item.name, code="box_down", why=why, at=self._state.wall_s())
            self._state.apply(note_refused_item, refused)
        else:
            self._state.apply(slots.start_vetting, item.fingerprint, self._state.boot_id)
        return deaths >= VET_DEATHS

    def _request(self, one: EngineKey, path: str, *, gates: bool) -> ipc.Examine:
        state, now, key = self._state.state, self._serving.slots_of(one), self._serving.verdict_key(one)
        refused = [digest for digest, said in now.verdicts.items() if not said.accepted and said.key == key]
        trusted = [digest for digest, said in now.verdicts.items() if said.accepted and said.key == key]
        active = state.versions.get(now.active)
        if active is not None and FACTORY in active.items:
            active = None  # a dropped model need not be like the one that comes with inferd
        return ipc.Examine(
            path,
            one.first.overrides,
            one.first.engine,
            str(self._state.state_dir),
            gates=gates,
            against=str(self._state.bundles.path(active.digest, active.root)) if active and gates else "",
            slower_max=self._options.slower_max,
            core_w=self._core_w,
            stop_at=(*state.quarantine, *refused) if gates else (),
            trusted=tuple(trusted),
        )

    def _start(self, one: EngineKey, subject: VetSubject, request: ipc.Examine, fork_server: ForkServer) -> None:
        limits = LIMITS
        if request.gates:
            limits = msgspec.structs.replace(
                LIMITS, memory_mb=self._options.vet_memory_mb, cpu_s=int(2 * self._options.vet_deadline_s)
            )
        one.queue.subject = subject
        try:
            one.queue.job = VetJob(fork_server, request, limits)
        except ForkRefused:
            self._queue_again(one, subject, FORK_RETRY_NS)
            raise
        one.queue.due_ns = self._clock.monotonic_ns() + int(self._options.vet_deadline_s * 1e9)

    def _accepted(self, one: EngineKey, subject: VetSubject, verdict: Accepted) -> None:
        """Store a model that passed, and select it, start its trial, or only keep it."""
        ref = verdict.description.ref
        one.queue.reported.clear()
        one.retry_why = ""
        self._state.disk_works("bundles")
        if one.unstored:
            self._serving.select_unstored(one, verdict)
            return
        if subject.digest and ref.digest != subject.digest:
            release(verdict)
            self._lost(one, subject.digest, f"{self._state.state.title(subject.digest)} is damaged on the disk")
            return
        self._serving.hold(one, verdict)
        self._record_accepted(one, subject, verdict)
        chosen = self._serving.choose(one)
        if chosen and chosen in one.held and self._clock.monotonic_ns() >= one.wait_until_ns:
            self._serving.begin(one, chosen)
        elif ref.digest not in self._serving.slots_of(one).held:
            log.info("model kept: %s does not serve %s, which has a newer or pinned one", ref.title, one.key)
        self._serving.select(one)

    def _record_accepted(self, one: EngineKey, subject: VetSubject, verdict: Accepted) -> None:
        at = self._state.wall_s()
        if subject.item:
            self._state.apply(slots.arrive, _version(verdict), subject.item, at)
            self._state.apply(forget_refused_item, subject.item, one.key)
        if verdict.report is not None and verdict.report.gates:
            accepting = _accepting(verdict, verdict.report, self._serving.verdict_key(one), at)
            self._state.apply(slots.judge, one.key, verdict.description.ref.digest, accepting)
            if verdict.report.doubt:
                self._state.apply(slots.doubt_new, one.key, verdict.description.ref.digest, verdict.report.doubt, at)
        if subject.dropped is not None and subject.item not in self._drop_folder.names():  # removed while it was vetted
            self._state.apply(slots.retire, subject.item, at)

    def _rejected(self, one: EngineKey, subject: VetSubject, verdict: Rejected) -> None:
        """Record a refusal, or retry later where it is not the model's fault."""
        error = verdict.error
        if verdict.code == CUT_OFF and verdict.again:
            log.info("model waits: %s; its copy may go on", error)
        elif verdict.again:
            self._retry(one, subject, verdict)
        elif subject.digest:
            self._lost(one, subject.digest, str(error))
        elif verdict.code == WRONG_ACCELERATOR:
            if str(error) not in one.queue.reported:  # reported once, and retried: a person may plug it in
                self._state.note_refused(error.part, error.message, one.key)
            one.queue.reported.add(str(error))
            self._wait_for_accelerator(one, subject)
        elif verdict.code == "known":
            self._note_known(one, verdict)
        elif verdict.description is not None and (digest := verdict.description.ref.digest):
            at = self._state.wall_s()
            refusal = VetVerdict(self._serving.verdict_key(one), False, verdict.code, error.message, at)
            self._state.apply(slots.judge, one.key, digest, refusal, verdict.description.ref.title)
        else:
            self._state.note_refused(error.part, error.message, one.key)
        if subject.item and not verdict.again:
            self._note_item(one, subject.item, verdict)
        if subject.dropped is not None and not verdict.again:
            self._state.apply(slots.retire, subject.item, self._state.wall_s())  # its previous content is gone

    def _note_item(self, one: EngineKey, item: str, verdict: Rejected) -> None:
        """Record the refusal by the item's name, for `inferd models status`."""
        digest = verdict.description.ref.digest if verdict.description else ""
        before = self._state.state.quarantine.get(digest) or self._serving.slots_of(one).verdicts.get(digest)
        code = before.code if verdict.code == "known" and before else verdict.code
        why = before.why if verdict.code == "known" and before else verdict.error.message
        refused = RefusedItem(item, one.key, code, why, digest, self._state.wall_s())
        self._state.apply(note_refused_item, refused)

    def _note_known(self, one: EngineKey, verdict: Rejected) -> None:
        """Record why bytes that were refused before are not tried again."""
        digest = verdict.description.ref.digest if verdict.description else ""
        before = self._state.state.quarantine.get(digest) or self._serving.slots_of(one).verdicts.get(digest)
        why = f"was refused before: {before.why}" if before else "was refused before"
        self._state.note_refused(verdict.error.part, why, one.key)

    def _retry(self, one: EngineKey, subject: VetSubject, verdict: Rejected) -> None:
        """Examine it again: at once where it changed meanwhile, later where the disk refused. Logged once."""
        one.retry_why = f"{verdict.error}; retrying"
        if str(verdict.error) not in one.queue.reported:
            log.warning("%s", one.retry_why)
        one.queue.reported.add(str(verdict.error))
        if verdict.code == STORE:
            self._state.disk_failed("bundles", str(verdict.error))
        elif subject.dropped is not None:
            self._drop_folder.again(subject.dropped)
            return
        self._queue_again(one, subject, RETRY_NS)

    def _queue_again(self, one: EngineKey, subject: VetSubject, pause_ns: int) -> None:
        due_ns = self._clock.monotonic_ns() + pause_ns
        if subject.dropped is not None:
            one.queue.deferred[subject.item] = subject.dropped
        if subject.digest:
            one.wait_until_ns = due_ns
        else:
            one.queue.look_again_ns = due_ns

    def _wait_for_accelerator(self, one: EngineKey, subject: VetSubject) -> None:
        if subject.dropped is not None:
            one.queue.deferred[subject.item] = subject.dropped
        one.queue.look_again_ns = one.queue.look_again_ns or self._clock.monotonic_ns() + RETRY_NS

    def _lost(self, one: EngineKey, digest: str, why: str) -> None:
        """Record that a stored model cannot serve after all."""
        now, at = self._serving.slots_of(one), self._state.wall_s()
        if now.trial is not None and now.trial.digest == digest:
            self._trials.fail(one, "load_failed", why)
        elif now.active == digest:
            self._state.apply(slots.unseat, one.key, why, at)
            one.queue.look_again_ns = 1
            self._serving.select(one)
        else:
            lost = VetVerdict(self._serving.verdict_key(one), False, "lost", why, at)
            self._state.apply(slots.judge, one.key, digest, lost)


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
    """Return the verdict that accepts a model, with the figures that the choice between variants needs."""
    found = {name: value for gate in report.gates for name, value in gate.figures.items()}
    figures = Measurements(found.get("invoke_min_ms", 0.0), found.get("private_mb", 0.0), found.get("accuracy"))
    variant = verdict.description.manifest.model.variant
    why = "; ".join(filter(None, (variant_summary(variant, figures) if variant else "", report.doubt)))
    return VetVerdict(key, True, why=why, at=at, figures=figures)


def _complete(verdict: Accepted | Rejected) -> Accepted | Rejected:
    """Refuse a model that runs, if it is not known how a frame becomes its input or its output a result."""
    if isinstance(verdict, Rejected) or not verdict.description.missing:
        return verdict
    release(verdict)
    description = verdict.description
    return Rejected(ModelRefused(description.ref.name, "; ".join(description.missing)), description, "incomplete")
