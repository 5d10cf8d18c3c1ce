from __future__ import annotations

from importlib import metadata

import pytest

from inferd.control.processes.vet_job import RUNTIMES, circumstances


@pytest.mark.parametrize("distribution", RUNTIMES)
def test_whatever_a_verdict_depends_on_is_among_what_it_holds_for(distribution: str) -> None:
    """A model that was refused for want of one is tried again once that is installed."""
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        assert distribution not in circumstances()
    else:
        assert f"{distribution} {version}" in circumstances()
