"""Fills a root: Debian's packages, then wheels that the host's pip picks for the other machine."""

# ruff: noqa: S603, S607 - it starts the real programs, by full argument lists

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

from inferd_tools.arm.boards import DEBIAN, PYTHON, Kind
from inferd_tools.arm.emulation import SITE

TESTING = ("pytest>=8", "pytest-timeout>=2", "hypothesis>=6")
COMPILER = "arm-linux-gnueabihf-gcc"
FLAGS = ("-shared", "-fPIC", "-O2", "-fwrapv", "-DNDEBUG")
FINISHED = "opt/finished"


def root_of(kind: Kind, cache: Path, project: Path) -> Path:
    """Return the folder of a kind's root, made the first time."""
    folder = cache / kind.name
    if not (folder / FINISHED).exists():
        if not folder.exists():
            _debian(kind, folder)
        shutil.rmtree(folder / SITE, ignore_errors=True)
        _wheels(kind, folder / SITE, project)
        for name in kind.built:
            _build(name, folder)
        (folder / FINISHED).touch()
    return folder


def wanted(kind: Kind, project: Path) -> list[Requirement]:
    """Return what inferd asks for on such a machine, and what its tests need."""
    listed = tomllib.loads((project / "pyproject.toml").read_text())["project"]["dependencies"]
    asked = [Requirement(line) for line in (*listed, *TESTING)]
    there = {"platform_machine": kind.machine, "python_version": PYTHON, "extra": ""}
    return [one for one in asked if one.marker is None or one.marker.evaluate(there)]


def _debian(kind: Kind, folder: Path) -> None:
    variant = "minbase" if kind.configured else "extract"
    made = [f"--architectures={kind.name}", f"--variant={variant}", f"--include={','.join(kind.debian)}"]
    unfinished = folder.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mmdebstrap", "--quiet", *made, "bookworm", str(unfinished), DEBIAN], check=True)
    unfinished.rename(folder)


def _wheels(kind: Kind, site: Path, project: Path) -> None:
    """Place wheels. A runtime comes without what it asks for: that is in the list already, or from Debian."""
    chosen = [one for one in wanted(kind, project) if one.name not in kind.from_debian | kind.built]
    for one in chosen:
        one.marker = None  # pip would judge it by this machine
    alone = [str(one) for one in chosen if one.name == "tflite-runtime"]
    others = [str(one) for one in chosen if one.name != "tflite-runtime"]
    platforms = [f"--platform={tag}" for tag in kind.platforms]
    common = ["--quiet", "--target", str(site), *platforms, f"--python-version={PYTHON}", "--only-binary=:all:"]
    for more in filter(None, (others, ["--no-deps", *alone] if alone else [])):
        _pip("install", *common, *more)


def _build(name: str, root: Path) -> None:
    """Compile a distribution's one C file for the root, as pip would on a board that has gcc and python3-dev."""
    with TemporaryDirectory(prefix="inferd-arm-") as work:
        _pip("download", "--quiet", "--no-deps", f"--no-binary={name}", f"--dest={work}", name)
        with tarfile.open(next(Path(work).glob("*.tar.gz"))) as archive:
            archive.extractall(work, filter="data")
        package = next(Path(work).glob(f"{name}-*/src/{name}"))
        headers = [f"-I{root}/usr/include/python{PYTHON}", f"-I{root}/usr/include"]
        tag = f"cpython-{PYTHON.replace('.', '')}-arm-linux-gnueabihf"
        built = package / f"_core.{tag}.so"
        subprocess.run([COMPILER, *FLAGS, *headers, str(package / "_core.c"), "-o", str(built)], check=True)
        shutil.copytree(package, root / SITE / name, ignore=shutil.ignore_patterns("*.c", "*.h"))


def _pip(*arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], check=True)
