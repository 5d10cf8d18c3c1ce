"""What all tests share."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.models.catalogue import fetch
from fixtures.models.collection import find_assets, write_malformed
from fixtures.network import broker
from fixtures.paths import TESTS

pytest_plugins = ["fixtures.allowed_skips"]

# A shell has `make test &` ignore SIGINT, and programs under test would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def assets() -> Path:
    """Return the folder of published models, pictures and clips; skip where it is absent."""
    folder = find_assets()
    if folder is None:
        pytest.skip("there are no assets; set INFERD_ASSETS to their folder")
    return folder


@pytest.fixture(scope="session")
def malformed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of files that are no working models, NAME.tflite by the names of `MALFORMED`."""
    return write_malformed(tmp_path_factory.mktemp("malformed"))


@pytest.fixture(scope="session")
def catalogue_model(pytestconfig: pytest.Config) -> Callable[[str], Path]:
    """Return what fetches a model of the catalogue, once and for later runs too; skip where the package index is not reached."""
    folder = pytestconfig.rootpath / ".cache" / "catalogue"
    folder.mkdir(parents=True, exist_ok=True)
    return lambda name: fetch(name, folder)


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[broker.Mosquitto]:
    """Give a real broker on a free loopback port, open to everybody; skip where there is no mosquitto."""
    if broker.PROGRAM is None:
        pytest.skip("there is no mosquitto; apt-get install mosquitto")
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    running = broker.Mosquitto(folder)
    yield running
    running.kill()


SLOW_FOLDERS = {"catalogue", "demo", "doctor", "end_to_end", "install", "systemd", "vet"}
"""Their tests start real programs: `make check` leaves them to `make test`."""
QUICK_FILES = {"test_units.py"}
"""What `make check` judges all the same: exposure and rightness of the unit."""
SLOW_FIXTURES = {"assets", "catalogue_model", "mosquitto"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what cannot be fast, so that nobody has to remember it."""
    for item in items:
        in_slow_folder = item.path.relative_to(TESTS).parts[0] in SLOW_FOLDERS and item.path.name not in QUICK_FILES
        if in_slow_folder or SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
