"""What is remembered of models between starts: frozen records, one `LifecycleState` in one small file (`state_file.py`).

Times are wall-clock seconds, for people only; no rule compares them. Models are known by the digest of their bundle.
"""

from __future__ import annotations

from typing import Literal

import msgspec

SCHEMA_VERSION = 1
LOG_LINES = 200
FACTORY = "the model that comes with inferd"  # what it has for an item: the last resort
LogKind = Literal[
    "model.arrived",
    "model.retired",
    "model.accepted",
    "model.refused",
    "model.trial",
    "model.committed",
    "model.doubtful",
    "model.rolled_back",
    "model.quarantined",
    "model.released",
    "model.pinned",
    "model.unpinned",
    "model.forgotten",
    "model.kept",
]


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model the store has, or had.

    Attributes:
        digest: SHA-256 over its bundle.
        name: as its manifest or its file says.
        version: "" where nothing says one.
        task: what it is for.
        arrived: 1, 2, 3 ... in the order in which models came; the factory's have 0.
        items: what holds these bytes now: items of the drop folder, or a configured path; () once it is retired.
        root: its .tflite below the bundle's folder.
        size_bytes: of all its files.
        verified: whether a digest or golden samples spoke for it.
        variant: which of several models of its name and version; "" where there is one.
    """

    digest: str
    name: str
    version: str = ""
    task: str = "raw"
    arrived: int = 0
    items: tuple[str, ...] = ()
    root: str = ""
    size_bytes: int = 0
    verified: bool = False
    variant: str = ""

    @property
    def title(self) -> str:
        """The name a person reads, as `ModelRef.title`."""
        return f"{self.name}{f' v{self.version}' if self.version else ''} ({self.digest[:8]})"


class Measurements(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was measured of a model on this device: its fastest invoke, its memory, and how often it is right (0..1)."""

    invoke_ms: float = 0.0
    private_mb: float = 0.0
    accuracy: float | None = None


class VetVerdict(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a vet child found.

    Attributes:
        key: under which circumstances: runtime and its version, accelerator, board, and how the model is run.
        accepted: whether it may serve.
        code: why not, in a word: "golden_mismatch"; "" where it may.
        why: why not, in a sentence.
        at: when.
        figures: what was measured.
    """

    key: str
    accepted: bool
    code: str = ""
    why: str = ""
    at: float = 0.0
    figures: Measurements = Measurements()


class Trial(msgspec.Struct, frozen=True, omit_defaults=True):
    """A switch that is intended or made and not yet proved. Written before the switch.

    Attributes:
        digest: of the model on trial.
        boot_id: the kernel's, when the agent last put the model on trial.
        box_deaths: how often the whole device went down since.
        agent_deaths: how often inferd alone did.
        worker_deaths: how often the worker died in a way that may not be the model's doing.
    """

    digest: str
    boot_id: str = ""
    box_deaths: int = 0
    agent_deaths: int = 0
    worker_deaths: int = 0


class KeySlots(msgspec.Struct, frozen=True, omit_defaults=True):
    """What serves one engine key.

    Attributes:
        active: the model that has proved itself; "" before the first.
        previous: the one before it, kept to go back to.
        trial: the switch under way; None where there is none.
        asked: the model a person asked for and that has not been on trial since; "" for none.
        pin: the only model that may serve; "" for none.
        passed_over: models that a person turned away; not taken again by themselves.
        verdicts: by digest.
    """

    active: str = ""
    previous: str = ""
    trial: Trial | None = None
    asked: str = ""
    pin: str = ""
    passed_over: tuple[str, ...] = ()
    verdicts: dict[str, VetVerdict] = {}

    @property
    def serving(self) -> str:
        """The model that is to serve now."""
        return self.trial.digest if self.trial else self.active

    @property
    def held(self) -> frozenset[str]:
        """Models that must not be thrown away."""
        return frozenset({self.active, self.previous, self.serving, self.pin, self.asked} - {""})


class Quarantined(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model that did harm while it served: not tried again until a person says so.

    Attributes:
        code: what it did, in a word: "crash", "hang", "nonfinite_output", "errors", "slow", "box_down", ...
        why: the same in a sentence.
        key: the engine key it did it in.
        at: when.
    """

    code: str
    why: str
    key: str = ""
    at: float = 0.0


class RefusedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An item of the drop folder, or a configured path, that was refused.

    Attributes:
        item: its name.
        key: the engine key that refused it; "" where none could look at it.
        code: why, in a word.
        why: why, in a sentence.
        digest: of its bundle; "" where that was not known.
        at: when.
    """

    item: str
    key: str = ""
    code: str = ""
    why: str = ""
    digest: str = ""
    at: float = 0.0


class LogLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step in a model's life; `key` is "" where it is about no engine key."""

    at: float
    kind: LogKind
    model: str
    why: str = ""
    key: str = ""
    digest: str = ""


class LifecycleState(msgspec.Struct, frozen=True, omit_defaults=True):
    """All that is remembered.

    Attributes:
        arrivals: how many models have come.
        versions: by digest.
        quarantine: by digest.
        slots: by engine key.
        log: the last steps, oldest first; at most `LOG_LINES`.
        seen: engine key and item → which files were judged, and under which circumstances.
        vetting: the item a vet child is at, "" for none; how often the device went down over it stands in `vet_deaths`.
        vetting_boot: the kernel's boot id at that time.
        vet_deaths: item fingerprint → how often.
        refused: what was refused and still lies there, the oldest first.
    """

    schema_version: int = SCHEMA_VERSION
    arrivals: int = 0
    versions: dict[str, Version] = {}
    quarantine: dict[str, Quarantined] = {}
    slots: dict[str, KeySlots] = {}
    log: tuple[LogLine, ...] = ()
    seen: dict[str, str] = {}
    vetting: str = ""
    vetting_boot: str = ""
    vet_deaths: dict[str, int] = {}
    refused: tuple[RefusedItem, ...] = ()

    def of(self, key: str) -> KeySlots:
        """Return the slots of an engine key; empty ones where it is new."""
        return self.slots.get(key, KeySlots())

    def title(self, digest: str) -> str:
        """Return what a person calls a model."""
        return self.versions[digest].title if digest in self.versions else digest[:8]

    def held(self) -> frozenset[str]:
        """Return the models that any engine key holds."""
        return frozenset().union(*(slots.held for slots in self.slots.values()))

    def with_slots(self, key: str, slots: KeySlots) -> LifecycleState:
        """Return the state with other slots for an engine key."""
        return msgspec.structs.replace(self, slots={**self.slots, key: slots})

    def with_version(self, version: Version) -> LifecycleState:
        """Return the state with a version added or replaced."""
        return msgspec.structs.replace(self, versions={**self.versions, version.digest: version})

    def noted(self, kind: LogKind, digest: str, at: float, why: str, key: str = "", title: str = "") -> LifecycleState:
        """Return the state with a line added to the log; the oldest goes where there are too many.

        `title` is what a person calls something that the store does not know.
        """
        line = LogLine(at, kind, title or self.title(digest), why, key, digest)
        return msgspec.structs.replace(self, log=(*self.log[-(LOG_LINES - 1) :], line))
