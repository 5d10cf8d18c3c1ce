"""The package in a booted Debian, real parts throughout: `make nspawn` (needs root; minutes, once more for the root).

What is measured inside is printed, and kept in .cache/nspawn/<release>/booted/*.json.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.machines.booted_debian import CACHE, INSIDE, Report, failed, read_report
from inferd.install.environment import packages_of
from inferd_tools.deb.releases import Release
from inferd_tools.machines import nspawn

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def machine(
    release: Release, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[nspawn.NspawnMachine]:
    root = tmp_path_factory.mktemp("nspawn") / release.codename
    machine = nspawn.NspawnMachine(nspawn.root_archive(release.codename, CACHE / "roots"), root)
    _virtual_environment(root, package, release)
    yield machine
    machine.close()


@pytest.fixture(scope="module")
def inside(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that is seen as /in."""
    folder = tmp_path_factory.mktemp("in")
    shutil.copytree(INSIDE, folder, dirs_exist_ok=True)
    shutil.copy(package, folder)
    return folder


@pytest.fixture(scope="module")
def first_boot(machine: nspawn.NspawnMachine, inside: Path, out: Path) -> Report:
    machine.boot(inside, "package", out)
    return read_report(out / "package.json", out / "package.log")


@pytest.fixture(scope="module")
def read_only_boot(machine: nspawn.NspawnMachine, inside: Path, out: Path, first_boot: Report) -> Report:
    assert first_boot
    state = machine.root.with_name("state")  # a folder below the read-only root would be read-only as well
    subprocess.run(["cp", "-a", str(machine.root / "var/lib/inferd"), str(state)], check=True)
    machine.boot(inside, "readonly", out, ["--read-only", f"--bind={state}:/var/lib/inferd"])
    return read_report(out / "readonly.json", out / "readonly.log")


@pytest.fixture(scope="module")
def second_boot(machine: nspawn.NspawnMachine, inside: Path, out: Path, read_only_boot: Report) -> Report:
    assert read_only_boot
    machine.boot(inside, "reboot", out)
    return read_report(out / "reboot.json", out / "reboot.log")


def test_the_package_serves_and_comes_back_from_everything(first_boot: Report) -> None:
    assert failed(first_boot) == {}


def test_a_read_only_root_is_enough(read_only_boot: Report) -> None:
    assert failed(read_only_boot) == {}


def test_a_reboot_keeps_state_and_nothing_is_left_behind(second_boot: Report) -> None:
    assert failed(second_boot) == {}


def _virtual_environment(root: Path, package: Path, release: Release) -> None:
    """Put at /venv what pipx would have made: an environment of the root's own Python with inferd in it."""
    unpacked = root / "unpacked"
    subprocess.run(["dpkg-deb", "-x", str(package), str(unpacked)], check=True)
    python = f"/usr/bin/python{release.python[0]}.{release.python[1]}"
    subprocess.run(["chroot", str(root), python, "-m", "venv", "--without-pip", "/home/pi/venv"], check=True)
    venv, packages = root / "home/pi/venv", packages_of(release.python)
    shutil.copytree(unpacked / "opt/inferd" / packages, venv / packages, dirs_exist_ok=True)
    script = (unpacked / "opt/inferd/bin/inferd").read_text().replace("/opt/inferd", "/home/pi/venv")
    (venv / "bin/inferd").write_text(script)
    (venv / "bin/inferd").chmod(0o755)
    shutil.move(venv, root / "venv")
    shutil.rmtree(root / "home/pi")
    shutil.rmtree(unpacked)
