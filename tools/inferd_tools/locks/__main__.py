"""`make lock`: write deploy/locks/ from pyproject.toml by uv.

A lock keeps the versions it has where pyproject.toml still allows them; `--upgrade` takes the newest. `--check` writes nothing
and needs no network: it names what does not satisfy pyproject.toml. `--lowest FILE` writes the lowest versions that it allows.
"""

# ruff: noqa: S603 - it starts uv, by full argument lists

from __future__ import annotations

import argparse
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from packaging.requirements import Requirement

from inferd_tools.locks.lockfile import LOCKS, PROJECT, PYTHONS, TARGETS, Target, faults, wanted

UV = Path(sys.executable).parent / "uv"
MODEL = "dev"  # has nearly all packages: the other locks take their versions from it
RAISES_FLOORS = "amqtt"  # of psutil and rich, above those of inferd itself
GLIBC = "2_36"  # Debian 12's
OLDEST = f"--python-version={PYTHONS[0][0]}.{PYTHONS[0][1]}"


def main() -> int:
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(prog="inferd_tools.locks", description=__doc__)
    one_of = parser.add_mutually_exclusive_group()
    one_of.add_argument("--check", action="store_true")
    one_of.add_argument("--upgrade", action="store_true")
    one_of.add_argument("--lowest", type=Path)
    options = parser.parse_args()
    pyproject = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    lists = wanted(pyproject)
    if options.lowest:
        options.lowest.unlink(missing_ok=True)  # uv prefers the versions in the file that it writes
        others = [one for one in lists["test"] if one.name != RAISES_FLOORS]
        _uv([*lists["build"], *others], OLDEST, "--resolution=lowest-direct", f"--output-file={options.lowest}")
        return 0
    if not options.check:
        _write_all(lists, upgrade=options.upgrade)
    found = faults(pyproject, {path.stem: path.read_text() for path in LOCKS.glob("*.txt")})
    for fault in found:
        print(f"deploy/locks/{fault}; run `make lock`", file=sys.stderr)
    return int(bool(found))


def _write_all(lists: dict[str, list[Requirement]], *, upgrade: bool) -> None:
    for old in LOCKS.glob("*.txt"):
        if upgrade or old.stem not in lists:
            old.unlink()
    for name in sorted(lists, key=lambda name: name != MODEL):
        lock, model = LOCKS / f"{name}.txt", LOCKS / f"{MODEL}.txt"
        if not lock.exists() and model.exists():
            lock.write_text(model.read_text())
        _uv(lists[name], OLDEST, "--universal", "--generate-hashes", "--only-binary=:all:", f"--output-file={lock}")
        for target in TARGETS:
            _prove(lock, target)
        print(f"{lock.name}: {lock.stat().st_size // 1000} kB", flush=True)


def _prove(lock: Path, target: Target) -> None:
    """Stop where a package of the lock has no wheel for a target."""
    python, platform = ".".join(map(str, target.python)), f"{target.machine}-manylinux_{GLIBC}"
    where = [f"--python-version={python}", f"--python-platform={platform}"]
    pinned = [Requirement(line.partition(" \\")[0]) for line in lock.read_text().splitlines() if "==" in line]
    _uv(pinned, *where, "--only-binary=:all:")


def _uv(requirements: Sequence[Requirement], *options: str) -> None:
    """Resolve requirements, from this folder: uv reads [tool.uv] of pyproject.toml there."""
    command = [str(UV), "pip", "compile", "--quiet", "--custom-compile-command=make lock", *options, "-"]
    lines = "\n".join(map(str, requirements))
    subprocess.run(command, input=lines, text=True, check=True, cwd=PROJECT, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(main())
