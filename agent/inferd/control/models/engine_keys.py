"""Engine keys: which pipelines share a model, and what each follows. Pure but for what a key holds.

Pipelines that name the same model with the same options share an engine, and so an engine key: the model as the
configuration has it, with a number where one is run in several ways.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
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

NEWEST = "newest"  # the key of pipelines that name no model


@dataclass(frozen=True, slots=True)
class Job:
    """What a vet child is asked for.

    Attributes:
        item: what stands for it in the store: an item of the drop folder, an absolute path; "" for what is stored.
        dropped: the item of the drop folder; None for a path.
        digest: of a stored bundle that is to serve; "" where new bytes are vetted.
    """

    item: str = ""
    dropped: Item | None = None
    digest: str = ""


@dataclass(slots=True)
class Followed:
    """An engine key: its pipelines, its slot in the progress page, and the model that serves it or is to.

    Attributes:
        accepted: the model that is to serve; None where there is none that can.
        held: models that were loaded once by a vet child of this agent, by digest.
        serves: digest of what the worker said it serves.
        job: what the vet child at work was asked for.
        examination: the vet child at work; None where there is none.
        due_ns: when that child has taken too long.
        todo: items of the drop folder that are to be vetted, by name.
        look_again_ns: when the configured path is to be examined; 0 for not at all.
        wait_until_ns: no trial begins before, because the disk refused.
        watched: the trial under way; None before the worker has taken the model.
        usual: how long turns took while nothing was on trial.
        replay_mb: what frames of its trial may take, to be shown to the model before; 0 where there is none.
        mixed: pipelines whose next counts are mixed with those of the model before.
        later: items whose accelerator does not work, by name; they are vetted again with the configured path.
        killed: what the vet child before was asked for, if that was killed; None where it was not.
        offer_again_ns: when a model that the worker could not load is offered to it again; 0 for not at all.
        refused: why models were refused for want of an accelerator, as it was told.
    """

    key: str
    slot: int
    pipelines: tuple[settings.Pipeline, ...]
    accepted: Accepted | None = None
    held: dict[str, Accepted] = field(default_factory=dict)
    serves: str = ""
    job: Job = field(default_factory=Job)
    examination: VetJob | None = None
    due_ns: int = 0
    todo: dict[str, Item] = field(default_factory=dict)
    look_again_ns: int = 0
    wait_until_ns: int = 0
    offer_again_ns: int = 0
    watched: TrialCounts | None = None
    usual: UsualTurnTime = field(default_factory=UsualTurnTime)
    replay_mb: float = 0.0
    mixed: set[str] = field(default_factory=set)
    later: dict[str, Item] = field(default_factory=dict)
    killed: Job | None = None
    refused: set[str] = field(default_factory=set)

    @property
    def assignment(self) -> ipc.Assignment:
        """What the worker is told of it."""
        return ipc.Assignment(self.key, self.slot, self.pipelines)

    @property
    def offer(self) -> ipc.Offer:
        """The accepted model, as the worker is offered it."""
        assert self.accepted is not None  # noqa: S101 - only an accepted model is offered
        accepted = self.accepted
        return ipc.Offer(
            self.key,
            accepted.description,
            self.named.engine,
            needs_mb=accepted.private_mb,
            replay_mb=self.replay_mb,
        )

    @property
    def named(self) -> settings.Pipeline:
        """The pipeline that speaks for all: they name the same model and run it in the same way."""
        return self.pipelines[0]

    @property
    def path(self) -> str:
        """The configured path, absolute; "" where a name is followed, or whatever is newest."""
        model = self.named.model
        if os.sep in model or model.endswith(SUFFIXES) or (self.named.engine.kind == "fake" and model):
            return os.path.abspath(model)  # noqa: PTH100 - links stay as they are, they may be changed to swap a model
        return ""

    @property
    def unstored(self) -> bool:
        """Whether it is a fake engine without a file, of which there is nothing to keep."""
        return bool(self.path) and self.named.engine.kind == "fake" and not Path(self.path).exists()

    @property
    def way(self) -> str:
        """How its models are run: a verdict on one way says nothing of another."""
        way = msgspec.json.encode((self.named.engine, self.named.overrides), order="deterministic")
        return hashlib.sha256(way).hexdigest()[:12]

    def follows(self, item: Item) -> bool:
        """Whether an item of the drop folder may serve it."""
        return not self.path and self.named.model in ("", item.followed)

    def wish(self, items: Iterable[str]) -> ModelSelection:
        """Return what it follows, among the items that the store knows."""
        if self.path:
            return ModelSelection(frozenset({self.path}))
        period_ms = max((1e3 / each.pace.fps for each in self.pipelines if each.pace.mode == "fixed"), default=0.0)
        if self.named.model:
            return ModelSelection(
                frozenset(item for item in items if followed_name(item) == self.named.model), period_ms=period_ms
            )
        return ModelSelection(None, self.named.overrides.task, period_ms)

    def repurpose(self, pipelines: tuple[settings.Pipeline, ...]) -> bool:
        """Take other pipelines; return whether they run models in another way, so that each is to be described anew."""
        before, self.pipelines = self.way, pipelines
        if before == self.way:
            return False
        self.let_go(keep=[digest for digest, held in self.held.items() if held is self.accepted])
        self.held.clear()  # the one that serves goes on until its new description takes its place
        return True

    def let_go(self, keep: Iterable[str] = ()) -> None:
        """Close the files of all models but these."""
        for digest in [digest for digest in self.held if digest not in keep]:
            release(self.held.pop(digest))


def release(accepted: Accepted) -> None:
    """Close an accepted model's file, and its twin's."""
    for fd in (accepted.blob_fd, accepted.twin_fd):
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
