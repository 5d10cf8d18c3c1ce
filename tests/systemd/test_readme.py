"""The two ways of installing that README.md offers, word for word from that page, in a bare Debian: `make nspawn`.

The root has no Python, no pip, no make: whatever the page forgets is missing. It reaches the package indexes as this machine
does, by its configuration of apt and pip, which is shown to the root and kept nowhere. What it took is printed, and kept
in .cache/nspawn/<release>/readme/.
"""

# ruff: noqa: T201 - what is printed is the report

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.machines.booted_debian import CACHE, INSIDE, changed_sources
from fixtures.paths import PROJECT
from inferd_tools.deb.releases import Release
from inferd_tools.machines import nspawn

SECTION = "As a service"
WAYS = {"package": 0, "pipx": 1}  # which block of the section
APT = "/etc/apt/apt.conf.d"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
NOT_COUNTED = ("/in", "/out", "/proc", "/sys", "/run", "/dev")


@dataclass(frozen=True, slots=True)
class Step:
    """A command of the page: its exit code, how long it took, and by how much the disk was fuller then."""

    code: int
    took_s: float
    grown_mb: float
    command: str


def commands(page: str, section: str) -> list[list[str]]:
    """Return the lines of each fenced block below a heading."""
    text = re.split(rf"^## {re.escape(section)}$", page, maxsplit=1, flags=re.MULTILINE)[1]
    text = re.split(r"^## ", text, maxsplit=1, flags=re.MULTILINE)[0]
    return [block.strip().splitlines() for block in re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def pip_settings() -> dict[str, str]:
    """Return how this machine's pip finds packages, by `pip config`: key → value."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    pairs = (line.partition("=") for line in listed.stdout.splitlines())
    return {key.rpartition(".")[2]: str(ast.literal_eval(value)) for key, _, value in pairs}


def lent(settings: dict[str, str]) -> list[str]:
    """Return what of this machine the root has to see: apt's settings, and what pip's name."""
    words = [word.removeprefix("file://") for value in settings.values() for word in value.split()]
    named = {word.removesuffix("/simple") for word in words if word.startswith("/")}
    return [path for path in sorted({*named, APT, CERTIFICATES}) if Path(path).exists()]


@pytest.fixture
def machine(release: Release, tmp_path: Path) -> Iterator[nspawn.NspawnMachine]:
    archive = nspawn.root_archive(release.codename, CACHE / "roots", f"{release.codename}-bare", nspawn.BARE)
    machine = nspawn.NspawnMachine(archive, tmp_path / "root")
    yield machine
    machine.close()


@pytest.mark.parametrize("way", WAYS)
def test_the_page_has_commands_for_each_way(way: str) -> None:
    page = (PROJECT / "README.md").read_text()
    assert commands(page, SECTION)[WAYS[way]][0] == "sudo apt-get update"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("way", WAYS)
def test_the_page_installs_a_service_that_serves(
    way: str, machine: nspawn.NspawnMachine, out: Path, tmp_path: Path
) -> None:
    page = (PROJECT / "README.md").read_text()
    inside = shutil.copytree(INSIDE, tmp_path / "in")
    (inside / "commands").write_text("\n".join(commands(page, SECTION)[WAYS[way]]) + "\n")
    changed_sources(inside / "inferd", {})
    settings = pip_settings()
    seen = lent(settings)
    (inside / "not-counted").write_text("\n".join([*NOT_COUNTED, *seen]) + "\n")
    lines = [f"{key} = {value}" for key, value in settings.items()]
    (machine.root / "etc/pip.conf").write_text("\n".join(["[global]", *lines]) + "\n")
    code = machine.boot_online(inside, "readme", out, [f"--bind-ro={path}" for path in seen])
    taken = steps(out / "readme.tsv")
    for name in ("readme.tsv", "readme.log", "readme.journal", "readme.console"):
        (out / name).rename(out / name.replace("readme", way))
    print(f"\n{way}: {sum(step.took_s for step in taken):.0f} s, {taken[-1].grown_mb:.0f} MB")
    for step in taken:
        print(f"  {step.took_s:7.1f} s {step.grown_mb:7.0f} MB  exit {step.code}  {step.command}")
    assert [step for step in taken if step.code] == []
    assert code == 0, f"see {out / way}.log"


def steps(file: Path) -> list[Step]:
    """Read what was written inside: exit code, seconds, kilobytes and command of each step."""
    rows = [line.split("\t") for line in file.read_text().splitlines()]
    return [Step(int(code), float(took_s), int(grown_kb) / 1024, command) for code, took_s, grown_kb, command in rows]
