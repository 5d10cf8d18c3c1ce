"""Engine keys: which pipelines share an engine, and what is known of each key. Holds state; decides nothing.

Pipelines that name the same model with the same options share an engine, and so an engine key: the model as the
configuration has it, with a number where one is run in several ways.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.control.processes.vet_job import Accepted, VetJob
from inferd.store.description.bundle import SUFFIXES
from inferd.store.drop_folder.items import Item, followed_name
from inferd.store.lifecycle.slots import ModelSelection
from inferd.store.lifecycle.trial import TrialCounts, UsualTurnTime
from inferd.system.processes.heartbeats import SLOTS

NEWEST = "newest"  # the key of pipelines that name no model


@dataclass(frozen=True, slots=True)
class VetSubject:
    """What a vet child examines.

    Attributes:
        item: its name in the store: an item of the drop folder, an absolute path; "" for what is stored.
        dropped: the item of the drop folder; None for a path.
        digest: of a stored bundle that is to serve; "" where new bytes are vetted.
    """

    item: str = ""
    dropped: Item | None = None
    digest: str = ""


@dataclass(slots=True)
class KeyQueue:
    """What one engine key has waiting for a vet child. Written by `IncomingModels` and `VetQueue`.

    Attributes:
        waiting: items of the drop folder to vet, by name.
        deferred: items whose accelerator does not work, by name; vetted again with the configured path.
        look_again_ns: when to examine the configured path; 0 for not at all.
        job: the vet child at work; None where there is none.
        subject: what that child examines.
        due_ns: when it has taken too long.
        killed: what the previous vet child examined, if that was killed; None where it was not.
        reported: refusals that are retried, and were reported already.
    """

    waiting: dict[str, Item] = field(default_factory=dict)
    deferred: dict[str, Item] = field(default_factory=dict)
    look_again_ns: int = 0
    job: VetJob | None = None
    subject: VetSubject = field(default_factory=VetSubject)
    due_ns: int = 0
    killed: VetSubject | None = None
    reported: set[str] = field(default_factory=set)

    @property
    def idle(self) -> bool:
        """Whether nothing is examined or waits for it."""
        return self.job is None and not self.waiting and not self.look_again_ns


@dataclass(slots=True)
class KeyTrial:
    """What one engine key counts for its trial. Written by `Trials`.

    Attributes:
        counts: the trial under way; None before the worker has loaded the model.
        usual: how long turns took while no model was on trial.
        mixed: pipelines whose next counts include results of the previous model.
        faults_ns: when the committed model hung or crashed the worker, in the last 24 hours.
        faulty: its digest.
    """

    counts: TrialCounts | None = None
    usual: UsualTurnTime = field(default_factory=UsualTurnTime)
    mixed: set[str] = field(default_factory=set)
    faults_ns: list[int] = field(default_factory=list)
    faulty: str = ""


@dataclass(slots=True)
class EngineKey:
    """One engine key: its pipelines, its slot in the heartbeat page, and its models.

    Attributes:
        selected: the model that is to serve; None where none can.
        held: models that a vet child loaded once, with open files, by digest.
        serving: digest of what the worker reported to serve.
        wait_until_ns: no trial starts before, because the disk refused.
        offer_again_ns: when to offer a model again that the worker could not load; 0 for not at all.
        retry_why: why a model that could serve waits: the disk refuses, or its files still change; "" where none does.
        replay_mb: memory for frames of its trial, to be shown to the previous model; 0 where there is none.
        queue: what waits for a vet child.
        trial: what is counted for its trial.
    """

    key: str
    slot: int
    pipelines: tuple[settings.Pipeline, ...]
    selected: Accepted | None = None
    held: dict[str, Accepted] = field(default_factory=dict)
    serving: str = ""
    wait_until_ns: int = 0
    offer_again_ns: int = 0
    retry_why: str = ""
    replay_mb: float = 0.0
    queue: KeyQueue = field(default_factory=KeyQueue)
    trial: KeyTrial = field(default_factory=KeyTrial)

    @property
    def names(self) -> list[str]:
        """The names of its pipelines."""
        return names(self.pipelines)

    @property
    def offer(self) -> ipc.Offer:
        """The selected model, as it is offered to the worker."""
        assert self.selected is not None  # noqa: S101 - only a selected model is offered
        engine = self.first.engine
        return ipc.Offer(
            self.key, self.selected.description, engine, needs_mb=self.selected.private_mb, replay_mb=self.replay_mb
        )

    @property
    def first(self) -> settings.Pipeline:
        """Its first pipeline; all name the same model and run it in the same way."""
        return self.pipelines[0]

    @property
    def path(self) -> str:
        """The configured path, absolute; "" where it follows a name, or whatever is newest."""
        model = self.first.model
        if os.sep in model or model.endswith(SUFFIXES) or (self.first.engine.kind == "fake" and model):
            return os.path.abspath(model)  # noqa: PTH100 - links stay as they are, they may be changed to swap a model
        return ""

    @property
    def unstored(self) -> bool:
        """Whether it is a fake engine without a file, of which there is nothing to store."""
        return bool(self.path) and self.first.engine.kind == "fake" and not Path(self.path).exists()

    @property
    def way(self) -> str:
        """A digest of how its models are run; a verdict holds for one way only."""
        way = msgspec.json.encode((self.first.engine, self.first.overrides), order="deterministic")
        return hashlib.sha256(way).hexdigest()[:12]

    def follows(self, item: Item) -> bool:
        """Whether an item of the drop folder may serve it."""
        return not self.path and self.first.model in ("", item.followed)

    def wish(self, items: Iterable[str]) -> ModelSelection:
        """Return what it follows, among the items that the store knows."""
        if self.path:
            return ModelSelection(frozenset({self.path}))
        period_ms = max((1e3 / each.pace.fps for each in self.pipelines if each.pace.mode == "fixed"), default=0.0)
        if self.first.model:
            return ModelSelection(
                frozenset(item for item in items if followed_name(item) == self.first.model), period_ms=period_ms
            )
        return ModelSelection(None, self.first.overrides.task, period_ms)

    def repurpose(self, pipelines: tuple[settings.Pipeline, ...]) -> bool:
        """Replace its pipelines; return whether models are now run in another way, so that each must be described again."""
        before, self.pipelines = self.way, pipelines
        if before == self.way:
            return False
        self.let_go(keep=[digest for digest, held in self.held.items() if held is self.selected])
        self.held.clear()  # the one that serves goes on until its new description replaces it
        return True

    def let_go(self, keep: Iterable[str] = ()) -> None:
        """Close the files of all models except these."""
        for digest in [digest for digest in self.held if digest not in keep]:
            release(self.held.pop(digest))

    def close(self) -> None:
        """Kill its vet child and close all files."""
        if self.queue.job is not None:
            self.queue.job.give_up()
        self.let_go()


class EngineKeys:
    """The engine keys of the configuration. Owned by control's main thread."""

    def __init__(self) -> None:
        """Start without any."""
        self._keys: dict[str, EngineKey] = {}

    def __iter__(self) -> Iterator[EngineKey]:
        """Iterate over all keys, in the order of the configuration."""
        return iter(list(self._keys.values()))

    def get(self, key: str) -> EngineKey | None:
        """Return the key of this name; None where it is not configured."""
        return self._keys.get(key)

    def of_pipeline(self, name: str) -> EngineKey | None:
        """Return the key that serves a pipeline; None where it is not configured."""
        return next((one for one in self if name in one.names), None)

    def selected(self) -> list[EngineKey]:
        """Return the keys that have a model."""
        return [one for one in self if one.selected is not None]

    def configure(self, pipelines: Sequence[settings.Pipeline]) -> tuple[set[str], list[EngineKey]]:
        """Replace the pipelines; return the names of keys that are new or changed, and the keys to run in another way."""
        wanted = group(pipelines)
        for key in [key for key in self._keys if key not in wanted]:
            self._keys.pop(key).close()
        free = (slot for slot in range(1, SLOTS) if slot not in {one.slot for one in self})
        changed, repurposed = set(), []
        for key, members in wanted.items():
            one = self._keys.get(key)
            if one is not None and one.pipelines == members:
                continue
            changed.add(key)
            if one is None:
                self._keys[key] = EngineKey(key, next(free), members)
            elif one.repurpose(members):
                repurposed.append(one)
        return changed, repurposed


def release(accepted: Accepted) -> None:
    """Close an accepted model's file, and that of its CPU fallback."""
    for fd in (accepted.blob_fd, accepted.fallback_fd):
        if fd is not None:
            os.close(fd)


def group(pipelines: Sequence[settings.Pipeline]) -> dict[str, tuple[settings.Pipeline, ...]]:
    """Return the pipelines of each engine key, in the order of the configuration."""
    ways: dict[tuple[str, bytes], list[settings.Pipeline]] = {}
    for pipeline in pipelines:
        way = msgspec.json.encode((pipeline.engine, pipeline.overrides), order="deterministic")  # tables have no hash
        ways.setdefault((pipeline.model or NEWEST, way), []).append(pipeline)
    keys: dict[str, tuple[settings.Pipeline, ...]] = {}
    for (model, _), members in ways.items():
        number = sum(key == model or key.startswith(f"{model} #") for key in keys) + 1
        keys[model if number == 1 else f"{model} #{number}"] = tuple(members)
    return keys


def names(pipelines: Iterable[settings.Pipeline]) -> list[str]:
    """Return the pipelines' names."""
    return [pipeline.name for pipeline in pipelines]
