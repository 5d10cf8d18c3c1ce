"""What came in: items of the drop folder and configured paths, put into the queues of the keys that follow them."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from inferd.control.models.engine_keys import EngineKey, EngineKeys
from inferd.control.models.select_serving import ModelEnvironment, ServingModels
from inferd.foreign_text import printable
from inferd.store.drop_folder.items import Item
from inferd.store.lifecycle import slots
from inferd.store.lifecycle.refusals import forget_refused_item, note_refused_item
from inferd.store.lifecycle.state import FACTORY, RefusedItem

log = logging.getLogger(__name__)


class IncomingModels:
    """Owned by control's main thread."""

    def __init__(self, keys: EngineKeys, serving: ServingModels, environment: ModelEnvironment) -> None:
        """Queue new models for `keys`; `serving` says under which circumstances they were judged."""
        self._keys = keys
        self._serving = serving
        self._state = environment.state
        self._drop_folder = environment.drop_folder
        self._retired_missing = False

    def look(self) -> None:
        """Queue what has changed in the drop folder, and retire what is gone from it."""
        changes = self._drop_folder.changes()
        for path, why in changes.refused.items():
            log.warning("model refused: %s %s", printable(path), why)
            self._state.note_refused(printable(path), why)
            refused = RefusedItem(printable(path), why=why, at=self._state.wall_s())
            self._state.apply(note_refused_item, refused)
        for name in changes.gone:
            self._state.apply(slots.retire, name, self._state.wall_s())
            self._state.apply(forget_refused_item, name)
            for one in self._keys:
                one.queue.waiting.pop(name, None)
                one.queue.deferred.pop(name, None)
        for item in changes.settled:
            self._state.apply(forget_refused_item, item.name, "")
            followers = [one for one in self._keys if one.follows(item)]
            if not followers:
                log.info(
                    'model ignored: no pipeline follows %s; write model = "%s" in one, or leave out its model',
                    item.name,
                    item.followed,
                )
            for one in followers:
                if not self._is_judged(one, item):
                    one.queue.waiting[item.name] = item
        if self._drop_folder.seen and not self._retired_missing:
            self._retired_missing = True
            self._retire_missing()

    def look_again(self, repurposed: Iterable[EngineKey] = ()) -> None:
        """Examine every configured path again; `repurposed` keys run their models in another way now."""
        for one in repurposed:
            log.info("models of %s are examined again: they are run in another way", one.key)
        for one in self._keys:
            one.queue.look_again_ns = 1 if one.path or wants_factory(one) else 0

    def look_again_everywhere(self) -> None:
        """Judge everything in the drop folder and at configured paths again, as if it were new."""
        self._state.apply(slots.unsee)
        self.list_again()
        self.look_again()

    def list_again(self) -> None:
        """List every item of the drop folder again, for keys that were not configured when it was dropped."""
        self._drop_folder.all_again()

    def _is_judged(self, one: EngineKey, item: Item) -> bool:
        """Whether these very files were judged before, under the present circumstances."""
        mark = f"{item.fingerprint} {self._serving.verdict_key(one)}"
        return self._state.state.seen.get(f"{one.key} | {item.name}") == mark

    def _retire_missing(self) -> None:
        """Retire what was removed from the drop folder while no agent ran."""
        present = self._drop_folder.names()
        for version in list(self._state.state.versions.values()):
            for item in version.items:
                if not item.startswith("/") and item != FACTORY and item not in present:
                    self._state.apply(slots.retire, item, self._state.wall_s())


def wants_factory(one: EngineKey) -> bool:
    """Whether the model that comes with inferd may serve a key that has no other."""
    task = one.first.overrides.task
    return not one.first.model and one.first.engine.kind != "fake" and task in (None, "classify")
