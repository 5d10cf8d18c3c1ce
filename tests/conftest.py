"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.media import speech
from fixtures.network import broker
from fixtures.paths import PROJECT, TESTS


@pytest.fixture(scope="session")
def assets() -> Path:
    """Return the folder of real models, pictures and clips that lies beside the project; skip where it is absent."""
    beside = PROJECT.parent / "shared" / "assets"
    folder = Path(os.environ.get("INFERD_ASSETS", beside))
    if not (folder / "EXPECTED.json").is_file():
        pytest.skip(f"there are no assets at {folder}; set INFERD_ASSETS to where they are")
    return folder


@pytest.fixture(scope="session")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> speech.Speaker:
    """Return a program that says words; skip where there is none."""
    return speech.find_speaker(tmp_path_factory.mktemp("espeak"))


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
SLOW_FIXTURES = {"assets", "mosquitto"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what cannot be fast, so that nobody has to remember it."""
    for item in items:
        in_slow_folder = item.path.relative_to(TESTS).parts[0] in SLOW_FOLDERS and item.path.name not in QUICK_FILES
        if in_slow_folder or SLOW_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slow)
