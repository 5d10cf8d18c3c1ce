"""Which Debian is booted, and what is installed there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fixtures.machines.booted_debian import CACHE, package_of
from inferd_tools.deb.releases import RELEASES, Release
from inferd_tools.machines import nspawn

CHOSEN = os.environ.get("INFERD_RELEASES", "bookworm").split()


@pytest.fixture(scope="module", params=CHOSEN)
def release(request: pytest.FixtureRequest) -> Release:
    if os.geteuid() != 0:
        pytest.skip("booting a container needs root")
    if missing := nspawn.missing():
        pytest.skip(f"not installed: {' '.join(missing)}")
    return RELEASES[request.param]


@pytest.fixture(scope="module")
def package(release: Release) -> Path:
    return package_of(release)


@pytest.fixture(scope="module")
def out(release: Release, request: pytest.FixtureRequest) -> Path:
    """Return the folder that is seen as /out, one for each file of tests."""
    folder = CACHE / "nspawn" / release.codename / request.path.stem.removeprefix("test_")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
