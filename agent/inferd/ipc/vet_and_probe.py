"""Messages to and from the children that try a model, probe an accelerator or recover one."""

from __future__ import annotations

import msgspec

from inferd.config.settings import EngineConfig, Overrides
from inferd.ipc.base import IpcMessage
from inferd.records import EngineInfo
from inferd.wire.manifest import BudgetSection, ModelDescription
from inferd.wire.vetting import GateResult


class Listed(msgspec.Struct, frozen=True):
    """A file as it was listed; if it differs when it is read, it is still being written."""

    path: str
    size: int
    mtime_ns: int
    inode: int


class Examine(IpcMessage, frozen=True):
    """Control or the command line → vet child: a model to describe, load, run and free.

    Attributes:
        path: the model's file, or the folder that holds it.
        overrides: configuration that replaces keys of the manifest.
        engine: how it will be run.
        store_dir: the state directory whose store it is copied to before it is opened; "" opens the original.
        gates: whether to run all gates, or only load and run it.
        against: the stored model that it is to replace; "" for none.
        slower_max: how many times as long as that one it may take.
        core_w: watts of a busy core of this board; 0 if unknown.
        budget: instead of the manifest's.
        files: files that must not change until they are copied.
        stop_at: digests of bundles that are not vetted again.
        trusted: digests of bundles that need only load and run.
    """

    path: str
    overrides: Overrides
    engine: EngineConfig
    store_dir: str
    gates: bool = False
    against: str = ""
    slower_max: float = 4.0
    core_w: float = 0.0
    budget: BudgetSection | None = None
    files: tuple[Listed, ...] = ()
    stop_at: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()


class GateJudged(IpcMessage, frozen=True):
    """Vet child → caller: the result of one gate."""

    gate: GateResult


class Examined(IpcMessage, frozen=True):
    """Vet child → caller: the model loads, runs and can be freed. The descriptor of its file is attached.

    Attributes:
        root: the described path below the bundle's folder in the store; "" if nothing was stored.
        size_bytes: of all its files.
        verified: whether a digest or golden samples confirmed it.
        fallback: its CPU version, by which it was judged; its descriptor is attached second. None if it has none.
        private_mb: the memory that it took.
    """

    description: ModelDescription
    info: EngineInfo
    root: str = ""
    size_bytes: int = 0
    verified: bool = False
    fallback: ModelDescription | None = None
    private_mb: float = 0.0


class ExamineFailed(IpcMessage, frozen=True):
    """Vet child → caller: the model is refused, in one sentence; `description` is what could be read of it.

    Attributes:
        code: the reason in a word; "" if a gate reported it.
        again: whether to retry: the model is not at fault (the disk is full, the file is still being written).
    """

    part: str
    why: str
    description: ModelDescription | None = None
    code: str = ""
    again: bool = False


FromVet = GateJudged | Examined | ExamineFailed


class RecoverAccelerator(IpcMessage, frozen=True):
    """Control → recovery child: a step that may recover a wedged accelerator.

    Attributes:
        accelerator: its name.
        step: the name of one of its recovery steps.
        root: where /sys and /dev are.
    """

    accelerator: str
    step: str
    root: str = "/"


class RecoveryDone(IpcMessage, frozen=True):
    """Recovery child → control: what the step did, in words."""

    result: str


class Probe(IpcMessage, frozen=True):
    """Control → probe child: a model to run once on its accelerator. Its descriptor is attached."""

    name: str
    engine: EngineConfig


class Probed(IpcMessage, frozen=True):
    """Probe child → control: what ran the model, or `why` the accelerator refuses it."""

    accelerator: str
    why: str
