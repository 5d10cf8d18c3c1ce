"""The Python environment that the service runs from: one that the user inferd can reach.

A program under somebody's home is out of the service's sight (ProtectHome=, and homes are closed to others), so its
environment is copied to /opt/inferd. An environment is a folder of packages, a pyvenv.cfg and a link to the system's
Python; the Debian package is laid out by the same function.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from inferd.errors import InferdError

HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - what ProtectHome= and PrivateTmp= hide
MARK = ".placed-by-inferd-install"
SCRIPT = """\
#!{python}
import sys

from inferd.__main__ import main

sys.exit(main())
"""


@dataclass(frozen=True, slots=True)
class Environment:
    """A Python environment: its folder, the Python below it, where that lies, and where inferd's own package is."""

    prefix: Path
    base_python: Path
    base_prefix: Path
    package: Path
    version: tuple[int, int]

    @classmethod
    def running(cls) -> Environment:
        """Return the environment of this process."""
        base = Path(getattr(sys, "_base_executable", sys.executable)).resolve()
        package = Path(__file__).resolve().parents[1]
        return cls(Path(sys.prefix).resolve(), base, Path(sys.base_prefix).resolve(), package, sys.version_info[:2])

    @property
    def packages(self) -> Path:
        """Where its packages are."""
        return self.prefix / packages_of(self.version)


def packages_of(version: tuple[int, int]) -> Path:
    """Return where packages lie within an environment."""
    return Path(f"lib/python{version[0]}.{version[1]}/site-packages")


def reachable(path: Path) -> bool:
    """Whether the service can see `path`, whoever installed it."""
    if any(path.is_relative_to(hidden) for hidden in HIDDEN):
        return False
    return all(folder.stat().st_mode & 0o001 for folder in path.parents)


def check(environment: Environment) -> None:
    """Refuse an environment that a service cannot be run from.

    Raises:
        InferdError: which part of it lies where, and what to do.
    """
    if not reachable(environment.base_python):
        raise InferdError(
            str(environment.base_python),
            "the service cannot see this Python; make the environment with the system's,"
            " such as `pipx install --python /usr/bin/python3 inferd`",
        )
    if not environment.package.is_relative_to(environment.prefix):
        raise InferdError(
            str(environment.package),
            "inferd runs from a source folder here; build a wheel or a Debian package (`make deb`) and install that",
        )


def lay_out(folder: Path, final: Path, base_python: Path, version: tuple[int, int]) -> None:
    """Make `folder` an environment without packages that will be used as `final`.

    Args:
        folder: what is written to.
        final: where the folder will be when it is used.
        base_python: the Python below it.
        version: of that Python.
    """
    (folder / packages_of(version)).mkdir(parents=True)
    (folder / "bin").mkdir()
    home, number = base_python.parent, ".".join(map(str, version))
    text = f"home = {home}\ninclude-system-site-packages = false\nversion = {number}\nexecutable = {base_python}\n"
    (folder / "pyvenv.cfg").write_text(text)
    (folder / "bin/python3").symlink_to(base_python)
    (folder / "bin/python").symlink_to("python3")
    script = folder / "bin/inferd"
    script.write_text(SCRIPT.format(python=final / "bin/python3"))
    script.chmod(0o755)


def copy(environment: Environment, target: Path, final: Path) -> bool:
    """Copy an environment's packages into a new one at `target`, whole or not at all.

    Args:
        environment: what is copied.
        target: where it is written; an old copy is replaced.
        final: how `target` is called when it is used (without a `--root`).

    Returns:
        Whether there was anything to copy: False where `target` is such a copy already.

    Raises:
        InferdError: `target` holds something that is none of ours.
    """
    if target.exists() and not (target / MARK).exists():
        raise InferdError(str(target), "exists and was not placed by `inferd install`; move it away first")
    copied = _fingerprint(environment)
    if target.exists() and (target / MARK).read_text() == copied:
        return False
    fresh, old = (target.with_name(f"{target.name}.{suffix}") for suffix in ("new", "old"))
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    lay_out(fresh, final, environment.base_python, environment.version)
    packages = fresh / packages_of(environment.version)
    shutil.copytree(environment.packages, packages, symlinks=True, dirs_exist_ok=True)
    (fresh / MARK).write_text(copied)
    _open_to_all(fresh)
    if target.exists():
        target.rename(old)
    fresh.rename(target)
    shutil.rmtree(old, ignore_errors=True)
    return True


def _fingerprint(environment: Environment) -> str:
    """Return a digest over names, sizes and times of all that would be copied."""
    digest = hashlib.sha256(str(environment.base_python).encode())
    for path in sorted(environment.packages.rglob("*")):
        if "__pycache__" not in path.parts:
            told = path.lstat()
            digest.update(
                f"{path.relative_to(environment.packages)} {told.st_size} {told.st_mtime_ns}\n".encode(
                    errors="surrogateescape"
                )
            )
    return digest.hexdigest()


def _open_to_all(folder: Path) -> None:
    """Let everybody read what was copied: its owner's umask may have been narrow."""
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | 0o444 | (0o111 if path.is_dir() else 0))
    folder.chmod(0o755)
