"""The doctor, asked by somebody who is neither root nor the service, and has no home."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from fixtures.machines.boards import CONFIG
from inferd.config.load import LoadedConfig
from inferd.doctor.readers.world import configuration

NOBODY = 65534


def _is_right_for_nobody(file: Path) -> bool:
    """Read a configuration in a child that has no rights: this process keeps its own."""
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(NOBODY)
        os._exit(0 if isinstance(configuration(file), LoadedConfig) else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_right_configuration_is_right_for_somebody_without_a_home() -> None:
    with TemporaryDirectory() as folder:  # what pytest gives is closed to others
        Path(folder).chmod(0o755)
        file = Path(folder) / "inferd.toml"
        file.write_text(CONFIG)
        assert _is_right_for_nobody(file)
