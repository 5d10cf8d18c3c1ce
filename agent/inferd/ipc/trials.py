"""Messages to and from the children that try a model, probe an accelerator or recover one."""

from __future__ import annotations

import msgspec

from inferd.config.settings import EngineConfig, Overrides
from inferd.ipc.base import IpcMessage
from inferd.records import EngineInfo
from inferd.wire.manifest import BudgetSection, ModelDescription
from inferd.wire.vetting import GateResult


class Listed(msgspec.Struct, frozen=True):
    """A file as it was when it was decided to read it; one that is another by then has not settled yet."""

    path: str
    size: int
    mtime_ns: int
    inode: int


class Examine(IpcMessage, frozen=True):
    """Control or the command line → vet child: a model to describe, load, run and free.

    Attributes:
        path: the model's file, or the folder that holds it.
        overrides: what a person says instead of the manifest.
        engine: how it will be run.
        store_dir: the state directory whose store it is copied to before it is opened; "" opens the file itself.
        gates: whether to try all gates, instead of only whether it loads and runs.
        against: what the store has of the model that it is to replace; "" for none.
        slower_max: it may take so many times as long as that one.
        core_w: what a busy core of this board draws; 0 where nobody knows.
        budget: instead of the manifest's.
        files: what must not have changed until it was copied.
        stop_at: digests of bundles that are not tried again.
        trusted: digests of bundles for which loading and running is enough.
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
    """Vet child → asker: a gate was judged; the next one begins."""

    gate: GateResult


class Examined(IpcMessage, frozen=True):
    """Vet child → asker: the model loads, runs and lets itself be freed. The descriptor of its file comes beside.

    Attributes:
        root: what was described, below the bundle's folder in the store; "" where nothing was stored.
        size_bytes: of all its files.
        verified: whether a digest or golden samples spoke for it.
        twin: what the CPU runs in its place, by which it was judged; its descriptor comes second. None where it has none.
        private_mb: what it took.
    """

    description: ModelDescription
    info: EngineInfo
    root: str = ""
    size_bytes: int = 0
    verified: bool = False
    twin: ModelDescription | None = None
    private_mb: float = 0.0


class ExamineFailed(IpcMessage, frozen=True):
    """Vet child → asker: the model is refused, in one sentence; `description` is what could be read of it anyway.

    Attributes:
        code: the reason in a word; "" where a gate said it.
        again: whether it is not the model's fault (the disk is full, the file still changes), so that it is tried again.
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
