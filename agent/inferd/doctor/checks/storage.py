"""Judges the folders that inferd writes to, and what they lie on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from inferd import __version__
from inferd.config.load import SYSTEM_STATE_DIR, state_dir
from inferd.control.commands.local_socket import NAME as SOCKET
from inferd.control.commands.local_socket import SYSTEM_FOLDER
from inferd.control.state_version import written_by_newer
from inferd.doctor.check import Check, Problem, Severity
from inferd.doctor.checks.system import find_unit
from inferd.doctor.readers.hardware import may_fill
from inferd.doctor.readers.mounts import Mount, is_sd_card, mount_of, swaps
from inferd.doctor.readers.requirements import folders
from inferd.doctor.readers.world import SYSTEM_FILE, USER, World
from inferd.errors import StoreError
from inferd.store.storage.state_file import BEFORE, NAME, StateFile

FULL_BYTES = 64 << 20  # below this a model of usual size and its blob no longer fit
DROP = "models"  # the drop folder, within the state folder
STATE_FOLDERS = ("", "store", "state")  # where within the state folder the state of models may be
IN_MEMORY = frozenset({"tmpfs", "ramfs"})


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """A folder that inferd writes to.

    Attributes:
        path: as configured.
        there: whether it exists; `nearest` is itself or the closest folder above it that does.
        writable: whether the user may make files in `nearest`.
        read_only: whether the file system is mounted so.
        free_bytes: for users other than root.
        free_files: inodes left.
        mount: None where /proc/mounts does not tell.
        configured: whether the configuration names it.
        expected: whether the service, or systemd for it, makes it when it starts.
    """

    path: str
    there: bool
    nearest: str
    writable: bool
    read_only: bool
    free_bytes: int
    free_files: int
    mount: Mount | None
    user: str
    configured: bool
    expected: bool


@dataclass(frozen=True, slots=True)
class StateFacts:
    """The state of models: its file, what is wrong with it ("" for nothing), and whether the copy before is there."""

    path: str
    complaint: str
    has_before: bool


@dataclass(frozen=True, slots=True)
class FormatFacts:
    """The state folder, and the newer inferd that has written it; "" where none has."""

    path: str
    newer: str


@dataclass(frozen=True, slots=True)
class SwapFacts:
    """A swap space on an SD card."""

    path: str
    used_kib: int


def read_folders(world: World) -> tuple[FolderFacts, ...]:
    """Look at the state folder and at every other folder that is configured."""
    state = state_folder(world)
    drop = [f"{state}/{DROP}"] if find_unit(world) or world.at(f"{state}/{DROP}").is_dir() else []
    paths = dict.fromkeys([state, *drop, *folders(world.configured)])
    return tuple(_folder_facts(world, os.path.abspath(path)) for path in paths)  # noqa: PTH100 - a name, not a file


def state_folder(world: World) -> str:
    """Return where state is kept; an installed service's, where nothing else is said."""
    if not world.configured.state_dir and (find_unit(world) or world.user.name == USER):
        return str(SYSTEM_STATE_DIR)
    return str(state_dir(world.configured, world.environment))


def agent_folder(world: World) -> Path:
    """Return where a running agent listens: the service in its own folder, another in its state folder."""
    of_service = world.config_path in (None, world.root / SYSTEM_FILE)
    service = world.at(SYSTEM_FOLDER)
    return service if of_service and (service / SOCKET).exists() else world.at(state_folder(world))


def read_state(world: World) -> StateFacts | None:
    """Read the state of models as the service would; None where there is none yet."""
    places = [f"{state_folder(world)}/{name}".rstrip("/") for name in STATE_FOLDERS]
    folder = next((place for place in places if world.at(f"{place}/{NAME}").exists()), None)
    if folder is None:
        return None
    try:
        return StateFacts(
            f"{folder}/{NAME}", StateFile(world.at(folder)).load().healed, world.at(f"{folder}/{BEFORE}").exists()
        )
    except StoreError as exc:
        return StateFacts(f"{folder}/{NAME}", exc.message, has_before=False)


def read_format(world: World) -> FormatFacts:
    """Look which inferd wrote the state folder."""
    folder = state_folder(world)
    newer = written_by_newer(world.at(folder))
    return FormatFacts(folder, newer.version if newer else "")


def read_swaps(world: World) -> tuple[SwapFacts, ...]:
    """Look for swap on SD cards."""
    return tuple(SwapFacts(one.path, one.used_kib) for one in swaps(world) if is_sd_card(world, one.device))


def judge_missing(facts: tuple[FolderFacts, ...]) -> Iterator[Problem]:
    """Yield a note for each configured folder that is not there yet."""
    for one in facts:
        if not one.there and one.writable and one.configured:
            mend = f"sudo install -d -o {one.user} {one.path}"
            yield Problem("the folder is not there yet; the service makes it when it starts", one.path, mend, "note")


def judge_writable(facts: tuple[FolderFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each folder that the user may not write to."""
    for one in facts:
        if not one.writable and not one.read_only and not (one.expected and not one.there):
            fact = (
                f"user {one.user} may not write to it"
                if one.there
                else f"user {one.user} may not make it in {one.nearest}"
            )
            yield Problem(fact, one.path, f"sudo install -d -o {one.user} {one.path}")


def judge_read_only(facts: tuple[FolderFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each folder on a file system that is mounted read-only."""
    for one in facts:
        if one.read_only:
            mount = one.mount or Mount("the disk", one.nearest, "", frozenset())
            fact = f"{mount.source} is mounted read-only; the kernel does that when a card or disk fails"
            yield Problem(fact, one.path, f"sudo mount -o remount,rw {mount.point}")


def judge_full(facts: tuple[FolderFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each folder on a full file system."""
    for one in facts:
        if not one.read_only and (one.free_bytes < FULL_BYTES or one.free_files == 0):
            point = one.mount.point if one.mount else one.nearest
            left = f"{one.free_bytes / 1e6:.0f} MB" if one.free_files else "no inode"
            mend = f"sudo du -xh --max-depth=2 {point} | sort -h | tail"
            yield Problem(f"the disk is full: {left} left on {point}", one.path, mend)


def judge_memory(facts: tuple[FolderFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each folder that lies in memory."""
    for one in facts:
        if one.mount and one.mount.kind in IN_MEMORY:
            fact = f"it lies in memory ({one.mount.kind} on {one.mount.point})"
            yield Problem(fact, one.path, 'set state_dir to a folder on a disk, such as "/var/lib/inferd"', "warning")


def judge_state(facts: StateFacts | None) -> Iterator[Problem]:
    """Yield a fault where the state of models is damaged; the copy before heals it."""
    if facts and facts.complaint:
        healing = "the copy before it is whole and heals it" if facts.has_before else "there is no copy before it"
        severity: Severity = "warning" if facts.has_before else "error"
        yield Problem(f"{facts.complaint}; {healing}", facts.path, "sudo inferd doctor --fix", severity)


def judge_format(facts: FormatFacts) -> Iterator[Problem]:
    """Yield a fault where a newer inferd has written the state."""
    if facts.newer:
        fact = f"inferd {facts.newer} has written it in a format that inferd {__version__} does not know"
        yield Problem(
            fact, facts.path, f"install inferd {facts.newer} again, or: sudo mv {facts.path} {facts.path}.newer"
        )


def judge_swap(facts: tuple[SwapFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each swap space on an SD card; a note while nothing is in it."""
    for one in facts:
        used = f"{one.used_kib / 1024:.0f} MB of it in use" if one.used_kib else "not in use"
        mend = "sudo apt-get install zram-tools && sudo swapoff " + one.path
        yield Problem(f"swap lies on the SD card, {used}", one.path, mend, "warning" if one.used_kib else "note")


def _folder_facts(world: World, path: str) -> FolderFacts:
    nearest = _nearest(world, path)
    found = world.at(nearest)
    told = os.statvfs(found)
    mount = mount_of(world, nearest)
    return FolderFacts(
        path=path,
        there=world.at(path).is_dir(),
        nearest=nearest,
        writable=may_fill(found, world.user),
        read_only=bool(told.f_flag & os.ST_RDONLY) or (mount is not None and "ro" in mount.options),
        free_bytes=told.f_bavail * told.f_frsize,
        free_files=told.f_favail if told.f_files else 1,  # btrfs and vfat count none
        mount=mount,
        user=world.user.name,
        configured=path in (world.configured.state_dir, f"{SYSTEM_STATE_DIR}/{DROP}", *folders(world.configured)),
        expected=path == str(SYSTEM_STATE_DIR),
    )


def _nearest(world: World, path: str) -> str:
    wanted = PurePosixPath(path)
    return str(next((one for one in (wanted, *wanted.parents) if world.at(str(one)).is_dir()), PurePosixPath("/")))


CHECKS = (
    Check(
        "disk.missing",
        "whether the folders that the configuration names are there",
        "nobody can drop a model into a folder that is not there",
        judge_missing,
        (read_folders,),
    ),
    Check(
        "disk.permission",
        "whether the service's user may write to its folders",
        "models, blobs and what must outlive a restart are kept there",
        judge_writable,
        (read_folders,),
    ),
    Check(
        "disk.read-only",
        "whether the file system under inferd's folders is mounted read-only",
        "no model can be taken in, and nothing is remembered",
        judge_read_only,
        (read_folders,),
    ),
    Check(
        "disk.full",
        f"whether at least {FULL_BYTES >> 20} MB are free under inferd's folders",
        "a new model is copied before it is tried",
        judge_full,
        (read_folders,),
    ),
    Check(
        "disk.memory",
        "whether inferd's folders lie in memory (tmpfs)",
        "models and state are gone after a restart, and take memory until then",
        judge_memory,
        (read_folders,),
    ),
    Check(
        "disk.state",
        "whether the file that remembers the state of models is whole",
        "without it every model is tried again, and refused ones are forgotten",
        judge_state,
        (read_state,),
    ),
    Check(
        "disk.state-format",
        "whether a newer inferd has written the state folder",
        "the service leaves it as it is and does not start (exit code 78)",
        judge_format,
        (read_format,),
    ),
    Check(
        "disk.swap",
        "whether swap lies on an SD card",
        "swapping wears the card out, and an inference that is swapped out takes seconds",
        judge_swap,
        (read_swaps,),
    ),
)
