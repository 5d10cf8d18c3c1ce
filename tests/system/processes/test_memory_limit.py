"""The limit that holds where the memory cgroup is off."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from inferd.system.processes.process import hold_memory
print(hold_memory(0.5, Path(sys.argv[1])))
try:
    bytearray(int(sys.argv[2]) * 1024**2)
except MemoryError:
    print("refused")
"""


def said(tmp_path: Path, wanted_mb: int) -> list[str]:
    """Hold a process to half of a board of 512 MB and have it ask for so much."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:         524288 kB\nMemFree: 1 kB\n")
    command = [sys.executable, "-c", PROGRAM, str(meminfo), str(wanted_mb)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()


def test_more_than_the_share_is_refused(tmp_path: Path) -> None:
    assert said(tmp_path, 300) == ["256", "refused"]


def test_less_than_the_share_is_given(tmp_path: Path) -> None:
    assert said(tmp_path, 100) == ["256"]
