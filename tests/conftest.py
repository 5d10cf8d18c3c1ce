"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def assets() -> Path:
    """Return the folder of real models, pictures and clips that lies beside the project; skip where it is absent."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "assets"
    folder = Path(os.environ.get("INFERD_ASSETS", beside))
    if not (folder / "EXPECTED.json").is_file():
        pytest.skip(f"there are no assets at {folder}; set INFERD_ASSETS to where they are")
    return folder
