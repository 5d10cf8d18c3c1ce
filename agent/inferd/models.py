"""Which models the pipelines follow, and what the vet children say of them. Control's side; decides, tells nobody.

Pipelines that name the same model with the same options share an engine, and so an engine key: the model's path as the
configuration has it, with a number where one path is run in several ways.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from inferd import ipc
from inferd.config import settings
from inferd.errors import ModelRefused
from inferd.examination import Accepted, Examination, Rejected
from inferd.fitting import fitting_engine
from inferd.system.clock import Clock
from inferd.system.processes import Exit
from inferd.system.progress import SLOTS
from inferd.system.seed import Seed


@dataclass(slots=True)
class Followed:
    """An engine key: its pipelines, its slot in the progress page, and the model that serves it or is to.

    Attributes:
        accepted: the newest model that passed; None before the first.
        examination: the vet child at work; None where there is none.
        due_ns: when that child has taken too long.
    """

    key: str
    slot: int
    pipelines: tuple[settings.Pipeline, ...]
    accepted: Accepted | None = None
    examination: Examination | None = None
    due_ns: int = 0

    @property
    def assignment(self) -> ipc.Assignment:
        """What the worker is told of it."""
        return ipc.Assignment(self.key, self.slot, self.pipelines)

    @property
    def offer(self) -> ipc.Offer:
        """The accepted model, as the worker is offered it."""
        assert self.accepted is not None  # noqa: S101 - only an accepted model is offered
        description = self.accepted.description
        return ipc.Offer(self.key, description, fitting_engine(description, self.pipelines[0].engine))


@dataclass(frozen=True, slots=True)
class Concluded:
    """A verdict, and whether a model that was accepted is another one than before."""

    followed: Followed
    verdict: Accepted | Rejected
    changed: bool


def group(pipelines: Sequence[settings.Pipeline]) -> dict[str, tuple[settings.Pipeline, ...]]:
    """Return the pipelines of each engine key, in the order of the configuration."""
    ways: dict[tuple[str, bytes], list[settings.Pipeline]] = {}
    for pipeline in pipelines:
        way = msgspec.json.encode((pipeline.engine, pipeline.overrides), order="deterministic")  # tables have no hash
        ways.setdefault((pipeline.model, way), []).append(pipeline)
    keys: dict[str, tuple[settings.Pipeline, ...]] = {}
    for (model, _), members in ways.items():
        number = sum(key == model or key.startswith(f"{model} #") for key in keys) + 1
        keys[model if number == 1 else f"{model} #{number}"] = tuple(members)
    return keys


@dataclass(slots=True)
class Models:
    """All engine keys of the configuration. Owned by control's main thread.

    Attributes:
        blobs_dir: where vet children keep the files that are served.
        load_deadline_s: how long a vet child may take.
    """

    clock: Clock
    blobs_dir: Path
    load_deadline_s: float
    followed: dict[str, Followed] = field(default_factory=dict)

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
            if key in self.followed:
                self.followed[key].pipelines = wanted[key]
            else:
                self.followed[key] = Followed(key, next(free), wanted[key])
        return changed

    def examine_all(self, seed: Seed) -> None:
        """Have every followed model examined by a child of its own.

        Raises:
            WorkerError: the seed is gone.
        """
        for one in self.followed.values():
            if one.examination is None:
                named = one.pipelines[0]
                request = ipc.Examine(named.model, named.overrides, named.engine, str(self.blobs_dir.parent))
                one.examination = Examination(seed, request)
                one.due_ns = self.clock.monotonic_ns() + int(self.load_deadline_s * 1e9)

    def conclude(self, pid: int, ended: Exit) -> Concluded | None:
        """Return the verdict of the vet child that has ended; None where `pid` is none of ours."""
        for one in self.followed.values():
            if one.examination is not None and one.examination.child.pid == pid:
                verdict = _complete(one.examination.conclude(ended))
                one.examination = None
                return Concluded(one, verdict, changed=isinstance(verdict, Accepted) and _accept(one, verdict))
        return None

    def mind_deadlines(self) -> None:
        """End vet children that take too long."""
        for one in self.followed.values():
            if one.examination is not None and self.clock.monotonic_ns() > one.due_ns:
                one.examination.give_up()

    def lose_children(self) -> None:
        """Take it that all vet children are gone, because their seed is."""
        for one in self.followed.values():
            one.examination = None

    def accepted(self) -> list[Followed]:
        """Return the keys that have a model."""
        return [one for one in self.followed.values() if one.accepted is not None]

    def of_pipeline(self, name: str) -> Followed | None:
        """Return the key that serves a pipeline; None where it is no longer configured."""
        return next((one for one in self.followed.values() if name in names(one.pipelines)), None)

    def close(self) -> None:
        """Let go of everything. Twice is fine."""
        for one in self.followed.values():
            self._forget(one)
        self.followed.clear()

    def _forget(self, one: Followed) -> None:
        if one.examination is not None:
            one.examination.give_up()
        _let_go(one.accepted)


def names(pipelines: Iterable[settings.Pipeline]) -> list[str]:
    """Return the pipelines' names."""
    return [pipeline.name for pipeline in pipelines]


def _complete(verdict: Accepted | Rejected) -> Accepted | Rejected:
    """Refuse a model that runs, but of which it is not known how a frame becomes its input or its output a result."""
    if isinstance(verdict, Rejected) or not verdict.description.missing:
        return verdict
    _let_go(verdict)
    description = verdict.description
    return Rejected(ModelRefused(description.ref.name, "; ".join(description.missing)), description)


def _accept(one: Followed, verdict: Accepted) -> bool:
    """Take an accepted model; return whether it is another one than before."""
    before, one.accepted = one.accepted, verdict
    _let_go(before)
    return before is None or before.description != verdict.description


def _let_go(accepted: Accepted | None) -> None:
    if accepted is not None and accepted.blob_fd is not None:
        os.close(accepted.blob_fd)
