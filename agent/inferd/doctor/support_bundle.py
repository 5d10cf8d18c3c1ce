"""Packs what helps somebody else to help: bounded in size, without secrets, without pictures."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from inferd.doctor import running_agent
from inferd.doctor.check import DoctorReport
from inferd.doctor.checks.configuration import read_models
from inferd.doctor.checks.storage import state_folder
from inferd.doctor.checks.system import find_unit
from inferd.doctor.readers.world import World
from inferd.doctor.redact import mask_sentences, mask_table, mask_text
from inferd.foreign_text import printable
from inferd.install.layout import UNIT
from inferd.records import Unavailable

PART_BYTES = 512 * 1024  # the end of a log is what counts; the rest is cut
LOG_LINES = "2000"
FILES_LISTED = 500
KERNEL_FILES = ("/proc/meminfo", "/proc/mounts", "/proc/swaps", "/proc/cpuinfo", "/proc/version", "/etc/os-release")


@dataclass(frozen=True, slots=True)
class BundlePart:
    """A file of the bundle: its name and what is in it; `why_not` where there is nothing to put in."""

    name: str
    content: bytes = b""
    why_not: str = ""


def parts(world: World, report: DoctorReport) -> Iterator[BundlePart]:
    """Yield what goes into the bundle, one after the other."""
    yield _json("doctor.json", report)
    yield BundlePart("versions.txt", _versions(world).encode())
    yield from _configuration(world)
    models = read_models(world)
    yield _told("models.json", models if isinstance(models, Unavailable) else [_plain(model) for model in models])
    yield from (_told(f"agent/{name}.json", answer) for name, answer in running_agent.told(world).items())
    yield BundlePart("state.txt", printable(_listing(world.at(state_folder(world)))).encode())
    yield BundlePart("machine.txt", _machine(world).encode())
    yield _log(world)
    yield _unit(world)


def pack(packed: list[BundlePart], folder: str, made_at: float) -> bytes:
    """Return a gzipped tar archive of these parts, all in one folder."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for part in packed:
            if not part.why_not:
                info = tarfile.TarInfo(f"{folder}/{part.name}")
                info.size, info.mtime, info.mode = len(part.content), int(made_at), 0o644
                archive.addfile(info, io.BytesIO(part.content))
    return stream.getvalue()


def _configuration(world: World) -> Iterator[BundlePart]:
    """Yield each configuration file as JSON with its secrets hidden; one that is no TOML cannot be cleaned and stays out."""
    first = world.config_path
    files = [first, *sorted((first.parent / "inferd.d").glob("*.toml"))] if first else []
    for file in files:
        name = f"config/{file.name}.json"
        try:
            table: Any = msgspec.toml.decode(file.read_bytes())  # Any: what TOML gives
        except (OSError, msgspec.DecodeError) as exc:
            yield BundlePart(name, why_not=f"{file} cannot be read and so not be cleaned of secrets ({exc})")
        else:
            yield _json(name, mask_table(table))


def _versions(world: World) -> str:
    found = metadata.distributions(path=list(world.python.path))
    names = sorted({f"{one.metadata['Name']} {one.version}" for one in found if one.metadata["Name"]}, key=str.lower)
    return "\n".join([f"{world.python.title} at {world.python.executable}", *names]) + "\n"


def _machine(world: World) -> str:
    said = [f"board: {world.board or 'none named'}"]
    for file in KERNEL_FILES:
        said += [f"--- {file}", mask_text(world.read(file) or "cannot be read")]
    for command in (("uname", "-a"), ("vcgencmd", "get_throttled"), ("lsusb",), ("df", "-h")):
        ran = world.run(*command)
        said += [f"--- {' '.join(command)}", (ran.out or ran.err).strip() if ran else "not installed"]
    return "\n".join(said)[:PART_BYTES] + "\n"


def _listing(folder: Path) -> str:
    """Return the names and sizes of what lies in the state folder, never its contents."""
    if not folder.is_dir():
        return f"{folder} is not there\n"
    files = sorted(file for file in folder.rglob("*") if file.is_file())
    rows = [f"{file.stat().st_size:>12}  {file.relative_to(folder)}" for file in files[:FILES_LISTED]]
    left = [f"... and {len(files) - FILES_LISTED} more"] if len(files) > FILES_LISTED else []
    return "\n".join([str(folder), *rows, *left]) + "\n"


def _log(world: World) -> BundlePart:
    ran = world.run("journalctl", "--unit", UNIT, "--lines", LOG_LINES, "--no-pager", "--output", "short-iso")
    if ran is None:
        return BundlePart("journal.txt", why_not="there is no journalctl on this system")
    if ran.code or not ran.out.strip() or ran.out.startswith("-- No entries"):
        return BundlePart("journal.txt", why_not=f"the journal has nothing of {UNIT} for this user; try with sudo")
    return BundlePart("journal.txt", mask_text(ran.out).encode()[-PART_BYTES:])


def _unit(world: World) -> BundlePart:
    unit = find_unit(world)
    if unit is None:
        return BundlePart(UNIT, why_not="no service is installed")
    return BundlePart(UNIT, mask_text(world.read(unit.path) or "").encode())


def _plain(model: Any) -> dict[str, Any]:  # Any: a dataclass with an error in it, which JSON does not know
    return {name: _simple(getattr(model, name)) for name in model.__slots__}


def _simple(value: object) -> object:
    return str(value) if isinstance(value, Exception) else value


def _told(name: str, told: object) -> BundlePart:
    """Return what was told as JSON without secrets: a sentence may hold the address of a camera, login included."""
    if isinstance(told, Unavailable):
        return BundlePart(name, why_not=told.why)
    part = _json(name, mask_sentences(told))
    return part if len(part.content) < PART_BYTES else BundlePart(name, why_not=f"has more than {PART_BYTES:,} bytes")


def _json(name: str, value: object) -> BundlePart:
    return BundlePart(name, msgspec.json.format(msgspec.json.encode(value), indent=2)[:PART_BYTES] + b"\n")
