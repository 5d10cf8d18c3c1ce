"""`make deb`: build the package for one Debian release and architecture."""

# ruff: noqa: S603 - it starts the real programs, by full argument lists

from __future__ import annotations

import argparse
import email.utils
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from inferd import __version__
from inferd_tools.deb import tree
from inferd_tools.deb.libraries import depends, needs
from inferd_tools.deb.releases import MACHINES, RELEASES, Release

COMPRESSED = (
    "-Zxz",
    "-z1",
)  # 73 MB in 26 s of a core; dpkg's own level 6: 61 MB in 130 s. Older lintians know no zstd.
NEEDED = {"dpkg-deb": "dpkg", "readelf": "binutils"}


def main() -> int:
    """Build; return the exit code."""
    options = _parser().parse_args()
    missing = [package for program, package in NEEDED.items() if shutil.which(program) is None]
    if missing:
        print(f"missing: {' '.join(missing)}; sudo apt-get install {' '.join(missing)}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="inferd-deb-") as work:
        built = build(RELEASES[options.release], options.arch, Path(work), options.out)
    print(f"{built}  {built.stat().st_size / 1e6:.1f} MB")
    return 0


def build(release: Release, architecture: str, work: Path, out: Path) -> Path:
    """Build a package and return its file."""
    os.umask(0o022)
    stage = work / "stage"
    version = f"{__version__}+deb{release.number}"
    opt = tree.environment(stage, release, architecture, work)
    tree.system_files(stage, release)
    tree.documents(stage, release, version, email.utils.formatdate(_epoch(), localtime=False))
    tree.scripts(stage)
    _control(stage, _depends(opt, release), version, architecture)
    out.mkdir(parents=True, exist_ok=True)
    built = out / f"inferd_{version}_{architecture}.deb"
    command = ["dpkg-deb", "--root-owner-group", *COMPRESSED, "--build", str(stage), str(built)]
    subprocess.run(command, check=True)
    return built


def _depends(opt: Path, release: Release) -> str:
    found = needs(opt)
    if found.unknown:
        sys.exit(f"nothing brings these libraries: {found.unknown}")
    if found.glibc > release.glibc:
        sys.exit(f"the wheels ask for glibc 2.{found.glibc}; {release.codename} has 2.{release.glibc}")
    return depends(found, release.python)


def _control(stage: Path, depends_on: str, version: str, architecture: str) -> None:
    files = sorted(path for path in stage.rglob("*") if path.is_file() and not path.is_symlink())
    packed = [path for path in files if "DEBIAN" not in path.relative_to(stage).parts]
    sums = [f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.relative_to(stage)}\n" for path in packed]  # noqa: S324 - dpkg's format
    (stage / "DEBIAN/md5sums").write_text("".join(sums))
    told = {
        "VERSION": version,
        "ARCH": architecture,
        "SIZE": str(sum(path.stat().st_size for path in packed) // 1024),
        "DEPENDS": depends_on,
    }
    text = (tree.DEBIAN / "control.in").read_text()
    for name, value in told.items():
        text = text.replace(f"@{name}@", value)
    (stage / "DEBIAN/control").write_text(text)


def _epoch() -> float:
    """Return the time the package is dated: $SOURCE_DATE_EPOCH, else when the changelog was last written."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    return float(given) if given else (tree.PROJECT / "pyproject.toml").stat().st_mtime


def _parser() -> argparse.ArgumentParser:
    here = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    machine = {machine: name for name, machine in MACHINES.items()}.get(platform.machine(), "amd64")
    parser = argparse.ArgumentParser(prog="inferd_tools.deb", description=__doc__)
    parser.add_argument("--release", choices=RELEASES, default=here if here in RELEASES else "bookworm")
    parser.add_argument("--arch", choices=MACHINES, default=machine)
    parser.add_argument("--out", type=Path, default=tree.PROJECT / "dist")
    return parser


if __name__ == "__main__":
    sys.exit(main())
