"""Three versions of the package, one after the other, in a booted Debian: `make nspawn`.

The older one is the present sources under a lower version; the newer one has another state format besides.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fixtures.machines.booted_debian import CACHE, INSIDE, Report, build, changed_sources, failed, read_report
from inferd import __version__
from inferd_tools.deb.releases import Release
from inferd_tools.machines import nspawn

OLDER, NEWER = "0.0.9", "9.9.9"
VERSION = "agent/inferd/__init__.py"
STATE_FORMAT = "agent/inferd/control/state_version.py"

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def upgraded(release: Release, package: Path, out: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = tmp_path_factory.mktemp("upgrades")
    renamed = {OLDER: {VERSION: (__version__, OLDER)}, NEWER: {VERSION: (__version__, NEWER)}}
    renamed[NEWER][STATE_FORMAT] = ("\nFORMAT = 1\n", "\nFORMAT = 2\n")
    inside = shutil.copytree(INSIDE, folder / "in")
    shutil.copy(package, inside / "present.deb")
    for name, version in (("older", OLDER), ("newer", NEWER)):
        sources = changed_sources(folder / name, renamed[version])
        shutil.move(build(release, sources, folder / "out"), inside / f"{name}.deb")
    machine = nspawn.NspawnMachine(nspawn.root_archive(release.codename, CACHE / "roots"), folder / "root")
    try:
        machine.boot(inside, "upgrade", out)
    finally:
        machine.close()
    return read_report(out / "upgrade.json", out / "upgrade.log")


def test_an_upgrade_keeps_what_serves_and_a_newer_state_is_refused_by_name(upgraded: Report) -> None:
    assert failed(upgraded) == {}
