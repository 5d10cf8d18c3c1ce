"""Lays out the files of the package below a staging folder."""

# ruff: noqa: S603 - it starts the real programs, by full argument lists

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

from inferd.accelerators.table import udev_rules
from inferd.install import layout
from inferd.install.environment import lay_out, packages_of
from inferd_tools.deb.releases import MACHINES, Release, wheel_platforms
from inferd_tools.locks.lockfile import LOCKS, Target, pins_for

PROJECT = Path(__file__).parents[3]
DEBIAN = PROJECT / "deploy/debian"
SYSTEMD = PROJECT / "systemd"
DROPPED = (  # relative to site-packages; what no code path of inferd loads
    "bin",
    "ai_edge_litert/tools",
    "ai_edge_litert/vendors",
    "ai_edge_litert/libLiteRtWebGpuAccelerator.so",
    "numpy/**/tests",
    "psutil/tests",
)
EXECUTABLE = 0o755


def environment(stage: Path, release: Release, architecture: str, work: Path) -> Path:
    """Install inferd and what it needs below `stage`, for another Python and machine than ours if need be."""
    opt = stage / layout.OPT.relative_to("/")
    major, minor = release.python
    lay_out(opt, layout.OPT, Path(f"/usr/bin/python{major}.{minor}"), release.python)
    packages = opt / packages_of(release.python)
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(work), str(PROJECT))
    wheel = next(work.glob("inferd-*.whl"))
    platforms = [f"--platform={tag}" for tag in wheel_platforms(release, architecture)]
    where = [
        "--target",
        str(packages),
        *platforms,
        f"--python-version={major}.{minor}",
        "--only-binary=:all:",
        "--no-compile",
    ]
    locked = work / "locked.txt"
    locked.write_text(requirements(Target(release.python, MACHINES[architecture])))
    by_lock = [
        "--require-hashes",
        "--no-deps",
        "--ignore-requires-python",
    ]  # pip would compare them with its own Python
    _pip("install", *where, *by_lock, "-r", str(locked))
    _pip("install", *where, "--no-deps", str(wheel))
    for pattern in DROPPED:
        for path in list(packages.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path in packages.rglob("*"):
        path.chmod(EXECUTABLE if path.is_dir() else layout.READABLE)  # wheels carry what their authors' umask was
    return opt


def requirements(target: Target) -> str:
    """Return what the lock of inferd without extras holds for a target, as pip reads it.

    The markers are judged here: pip would judge them by the Python and the machine that it runs on.
    """
    return "\n".join(map(str, pins_for((LOCKS / "base.txt").read_text(), target).values()))


def system_files(stage: Path, release: Release) -> None:
    """Put units, rules, account and configuration where this release has them."""
    unit_dir = f"{release.lib}/systemd/system"
    _place(stage, SYSTEMD / layout.UNIT, f"{unit_dir}/{layout.UNIT}")
    if release.systemd >= layout.NEW_WORDS:
        _place(stage, SYSTEMD / "dropins/10-systemd-254.conf", f"{unit_dir}/{layout.UNIT}.d/10-systemd-254.conf")
    for rules in udev_rules():
        _place(stage, SYSTEMD / rules, f"{release.lib}/udev/rules.d/{rules}")
    _place(stage, SYSTEMD / "inferd.sysusers", "usr/lib/sysusers.d/inferd.conf")
    _place(stage, SYSTEMD / "inferd.tmpfiles", "usr/lib/tmpfiles.d/inferd.conf")
    _write(stage / "usr/share/inferd/inferd.toml", layout.starting_config().encode())
    (stage / "etc/inferd").mkdir(parents=True)
    command = stage / "usr/bin/inferd"
    command.parent.mkdir(parents=True)
    command.symlink_to(layout.PROGRAM)


def documents(stage: Path, release: Release, version: str, date: str) -> None:
    """Put what people read where Debian has it."""
    doc = "usr/share/doc/inferd"
    _place(stage, DEBIAN / "copyright", f"{doc}/copyright")
    _place(stage, DEBIAN / "lintian-overrides", "usr/share/lintian/overrides/inferd")
    _place(stage, PROJECT / "docs/operations.md", f"{doc}/operations.md")
    _place(stage, SYSTEMD / "README.md", f"{doc}/systemd.md")
    for example in sorted((SYSTEMD / "examples").iterdir()):
        _place(stage, example, f"{doc}/examples/{example.name}")
    entry = f"inferd ({version}) {release.codename}; urgency=medium\n\n  * See CHANGELOG.md of the project.\n\n"
    signed = f" -- The inferd authors <inferd@localhost>  {date}\n"
    _write(stage / f"{doc}/changelog.gz", gzip.compress((entry + signed).encode(), 9, mtime=0))
    manual = gzip.compress((DEBIAN / "inferd.1").read_bytes(), 9, mtime=0)
    _write(stage / "usr/share/man/man1/inferd.1.gz", manual)


def scripts(stage: Path) -> None:
    """Put dpkg's scripts where it finds them."""
    for name in ("postinst", "prerm", "postrm"):
        _place(stage, DEBIAN / name, f"DEBIAN/{name}")
        (stage / "DEBIAN" / name).chmod(EXECUTABLE)


def _place(stage: Path, source: Path, path: str) -> None:
    _write(stage / path, source.read_bytes())


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(layout.READABLE)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)
