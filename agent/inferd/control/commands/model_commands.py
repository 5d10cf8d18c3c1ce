"""Commands about the models of a running agent, and their answers as JSON. Both command channels use them."""

from __future__ import annotations

import msgspec

from inferd.control.models.engine_keys import EngineKey
from inferd.control.models.models import Models
from inferd.errors import StoreError
from inferd.store.lifecycle import operator_commands
from inferd.store.lifecycle.state import KeySlots, LifecycleState, LogLine, RefusedItem, Version

SHORTEST = 4  # characters of a digest that are enough, where they name one model only


class ListedModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """One model in the store, as one engine key sees it; `role` is "active", "trial", "previous" or ""."""

    name: str
    version: str
    digest: str
    arrived: int
    items: tuple[str, ...]
    verified: bool
    role: str = ""
    accepted: bool | None = None
    code: str = ""
    why: str = ""
    quarantined: bool = False
    pinned: bool = False
    passed_over: bool = False
    variant: str = ""


class ListedKey(msgspec.Struct, frozen=True):
    """An engine key: its pipelines, what they follow, what the worker serves, its models, newest first; what was refused."""

    key: str
    pipelines: tuple[str, ...]
    follows: str
    serves: str
    models: tuple[ListedModel, ...]
    refused: tuple[RefusedItem, ...] = ()


class ModelCommands:
    """Owned by control's main thread."""

    def __init__(self, models: Models) -> None:
        """Carry out commands on these models."""
        self._models = models

    def listed(self) -> list[ListedKey]:
        """Return all engine keys and the models that matter to each."""
        return [self._listed_key(one) for one in self._models.keys]

    def log(self) -> tuple[LogLine, ...]:
        """Return the last steps of model lifecycles, oldest first."""
        return self._state.log

    def activate(self, pipeline: str, model: str) -> str:
        """Have a pipeline use a model, whatever its version."""
        one, digest = self._key(pipeline), self._digest(model)
        self._models.state.apply_durably(
            operator_commands.activate, one.key, digest, self._models.serving.verdict_key(one)
        )
        return f"{self._state.title(digest)} goes on trial for {pipeline}"

    def roll_back(self, pipeline: str) -> str:
        """Have a pipeline use the model it had before."""
        one = self._key(pipeline)
        try:
            self._models.state.apply_durably(operator_commands.roll_back, one.key, self._now)
        except StoreError as exc:
            raise StoreError(pipeline, exc.message) if exc.part == one.key else exc from exc
        self._models.serving.select(one)
        return f"{self._state.title(self._state.of(one.key).active)} serves {pipeline} again"

    def pin(self, pipeline: str, model: str = "") -> str:
        """Have a pipeline keep to a model: the one named, else the active one."""
        one = self._key(pipeline)
        digest = self._digest(model) if model else self._state.of(one.key).active
        self._models.state.apply_durably(operator_commands.pin, one.key, digest, self._now)
        return f"{self._state.title(digest)} is pinned for {pipeline}"

    def unpin(self, pipeline: str) -> str:
        """Have a pipeline follow newer models again."""
        self._models.state.apply_durably(operator_commands.unpin, self._key(pipeline).key, self._now)
        return f"{pipeline} follows newer models again"

    def forget(self, model: str) -> str:
        """Throw a model away."""
        digest = self._digest(model)
        title = self._state.title(digest)
        self._models.state.apply_durably(operator_commands.forget, digest, self._now)
        self._models.state.bundles.remove(digest)
        return f"{title} is forgotten"

    def release(self, model: str) -> str:
        """Let a model be tried again."""
        digest = self._digest(model)
        self._models.state.apply_durably(operator_commands.release, digest, self._now)
        self._models.incoming.look_again_everywhere()
        return f"{self._state.title(digest)} may be tried again"

    @property
    def _state(self) -> LifecycleState:
        return self._models.state.state

    @property
    def _now(self) -> float:
        return self._models.state.wall_s()

    def _key(self, pipeline: str) -> EngineKey:
        one = self._models.keys.of_pipeline(pipeline)
        if one is None:
            known = ", ".join(name for each in self._models.keys for name in each.names)
            raise StoreError(pipeline, f"is no pipeline; there are {known}")
        return one

    def _digest(self, model: str) -> str:
        """Return the digest that is meant by its beginning, a name, or a name and a version."""
        known = {**dict.fromkeys(self._state.quarantine), **dict.fromkeys(self._state.versions)}
        for slots in self._state.slots.values():
            known |= dict.fromkeys(slots.verdicts)
        found = [digest for digest in known if len(model) >= SHORTEST and digest.startswith(model)]
        found = found or [one.digest for one in self._state.versions.values() if model in _names(one)]
        if len(found) == 1:
            return found[0]
        which = (
            f"could be {', '.join(map(self._state.title, found))}; give more of its digest" if found else "is not known"
        )
        raise StoreError(model[:80], f"{which}; `inferd models status` shows what is")

    def _listed_key(self, one: EngineKey) -> ListedKey:
        state, slots = self._state, self._state.of(one.key)
        wish = one.wish(item for version in state.versions.values() for item in version.items)
        relevant = [
            version
            for version in state.versions.values()
            if wish.fits(version) or version.digest in slots.held or version.digest in slots.verdicts
        ]
        models = [self._listed_model(version, slots) for version in relevant]
        refused = tuple(item for item in state.refused if item.key == one.key or (not item.key and not one.path))
        unknown = slots.verdicts.keys() - state.versions.keys() - {item.digest for item in refused}
        models += [self._listed_model(Version(digest, digest[:8]), slots) for digest in sorted(unknown)]
        follows = one.path or one.first.model or "the newest that fits"
        order = sorted(models, key=lambda model: -model.arrived)
        return ListedKey(one.key, tuple(one.names), follows, one.serving, tuple(order), refused)

    def _listed_model(self, version: Version, slots: KeySlots) -> ListedModel:
        digest = version.digest
        roles = {slots.previous: "previous", slots.active: "active"}
        if slots.trial is not None:
            roles[slots.trial.digest] = "trial"
        verdict, held_against = slots.verdicts.get(digest), self._state.quarantine.get(digest)
        return ListedModel(
            version.name,
            version.version,
            digest,
            version.arrived,
            version.items,
            version.verified,
            roles.get(digest, ""),
            verdict.accepted if verdict else None,
            (held_against.code if held_against else "") or (verdict.code if verdict else ""),
            (held_against.why if held_against else "") or (verdict.why if verdict else ""),
            held_against is not None,
            slots.pin == digest,
            digest in slots.passed_over,
            version.variant,
        )


def _names(version: Version) -> set[str]:
    return {version.name, f"{version.name} {version.version}", f"{version.name}@{version.version}", *version.items}
