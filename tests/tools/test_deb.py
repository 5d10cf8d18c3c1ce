"""The Debian package's parts that can be judged without building it. The whole is built and booted by tests/systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from inferd.install import layout
from inferd.install.environment import lay_out, packages_of
from inferd_tools.deb import tree
from inferd_tools.deb.libraries import SystemNeeds, depends, needs
from inferd_tools.deb.releases import RELEASES, wheel_platforms
from inferd_tools.locks.lockfile import Target

DEBIAN = Path(__file__).parents[2] / "deploy/debian"
VERSION = sys.version_info[:2]


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_dpkgs_scripts_are_right_for_a_plain_shell(script: str) -> None:
    checked = subprocess.run(["sh", "-n", str(DEBIAN / script)], capture_output=True, text=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_postinst_knows_the_same_groups_as_sysusers() -> None:
    listed = re.search(r"for group in ([a-z0-9 -]+); do", (DEBIAN / "postinst").read_text())
    assert listed is not None
    assert listed[1].split() == layout.groups((tree.SYSTEMD / "inferd.sysusers").read_text())


def test_wheels_for_a_newer_glibc_than_the_releases_are_not_taken() -> None:
    tags = wheel_platforms(RELEASES["bookworm"], "arm64")
    assert (tags[0], tags[-1]) == ("manylinux_2_36_aarch64", "manylinux2014_aarch64")


def test_the_packages_systemd_decides_about_the_drop_in(tmp_path: Path) -> None:
    for codename in RELEASES:
        tree.system_files(tmp_path / codename, RELEASES[codename])
    found = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("10-systemd-254.conf")]
    assert found == ["trixie/usr/lib/systemd/system/inferd.service.d/10-systemd-254.conf"]


def test_a_library_that_nothing_brings_is_named(tmp_path: Path) -> None:
    if shutil.which("readelf") is None or shutil.which("gcc") is None:
        pytest.skip("readelf and gcc are needed: apt-get install binutils gcc")
    for name, links in (("libown.so", []), ("libstrange.so", []), ("libuser.so", ["-lown", "-lstrange"])):
        command = ["gcc", "-shared", "-o", name, "-x", "c", "/dev/null", "-L.", "-Wl,--no-as-needed", *links]
        subprocess.run(command, cwd=tmp_path, check=True)
    (tmp_path / "libstrange.so").unlink()
    found = needs(tmp_path)
    assert (found.unknown, found.packages) == ({"libstrange.so": "libuser.so"}, {"libc6"})


def test_the_newest_symbol_decides_about_the_c_library() -> None:
    assert depends(SystemNeeds({"libc6", "zlib1g"}, 28), (3, 11)) == "libc6 (>= 2.28), zlib1g, python3.11"


def test_an_environment_is_one_to_python(tmp_path: Path) -> None:
    lay_out(tmp_path / "env", tmp_path / "env", Path(sys.executable).resolve(), VERSION)
    (tmp_path / "env" / packages_of(VERSION) / "found.py").write_text("print('found')\n")
    python = tmp_path / "env/bin/python3"
    said = subprocess.run([str(python), "-c", "import found"], capture_output=True, text=True, check=True)
    assert said.stdout == "found\n"


def test_the_package_holds_the_versions_that_are_locked_for_its_python() -> None:
    old, new = (tree.requirements(Target(python, "aarch64")) for python in ((3, 11), (3, 13)))
    assert "numpy==" in old
    assert old != new
    assert all(" --hash=sha256:" in line and ";" not in line for line in (*old.splitlines(), *new.splitlines()))
