"""The models of all pipelines: what is dropped, vetted, tried, kept. Control's side; the rules are in `store/`.

Each turn looks what has become possible: examine a model, begin a trial, end one. What is to serve is always what the
state says (`Slots.serving`), so a restart continues where an end came, whenever it came.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from inferd.config import settings
from inferd.control.models.engine_keys import Followed, group, names
from inferd.control.models.serving import ModelEnvironment
from inferd.control.models.vetting import Concluded, Vetting, note_refused
from inferd.store.drop_folder.items import Item
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.state import FACTORY
from inferd.system.processes.fork_server import ForkServer
from inferd.system.processes.heartbeats import SLOTS

__all__ = ["Concluded", "Followed", "ModelEnvironment", "Models", "names"]

log = logging.getLogger(__name__)


class Models(Vetting):
    """All engine keys of the configuration, and where their models come from. Owned by control's main thread."""

    def __init__(self, place: ModelEnvironment) -> None:
        """Follow nothing yet."""
        super().__init__(place)
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
        if changed:
            self._drop.all_again()  # what was dropped before anybody followed it
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

    def turn(self, seed: ForkServer) -> None:
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
        self.offer_again()
        self.life.mind()

    def lose_children(self) -> None:
        """Take it that all vet children are gone, because their seed is."""
        for one in self.followed.values():
            if one.examination is not None and one.job.dropped is not None:
                self._drop.again(one.job.dropped)
            one.examination = None
        self.look_again()

    def end_children(self, timeout_s: float) -> None:
        """End the vet children, so that whoever started us finds no process left behind when we are gone."""
        working = [one.examination for one in self.followed.values() if one.examination is not None]
        for examination in working:
            examination.give_up()
        for examination in working:
            examination.child.wait_gone(timeout_s)

    def without(self) -> list[Followed]:
        """Return the keys that have no model, and for which none is being examined."""
        return [
            one
            for one in self.followed.values()
            if one.accepted is None and one.examination is None and not one.todo and not one.look_again_ns
        ]

    def close(self) -> None:
        """Let go of everything. Twice is fine."""
        for one in self.followed.values():
            self._forget(one)
        self.followed.clear()

    def _look(self) -> None:
        """Take what has changed in the drop folder."""
        changes = self._drop.changes()
        for path, why in changes.refused.items():
            log.warning("model refused: %s %s", path, why)
            self.life.take(note_refused, path, why, self.life.wall_s())
        for name in changes.gone:
            self.life.take(slots.retire, name, self.life.wall_s())
            for one in self.followed.values():
                one.todo.pop(name, None)
                one.later.pop(name, None)
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

    def _forget(self, one: Followed) -> None:
        if one.examination is not None:
            one.examination.give_up()
        one.let_go()
