from __future__ import annotations

from pathlib import Path

import pytest

from inferd.system.memory import available_bytes

MB = 1 << 20


def machine(root: Path, group: str = "/", **limits: str) -> Path:
    """Lay out a machine with 100 MB to spare; by control group: what it may have, has, and has of files, in MB."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(f"MemTotal: {512 * 1024} kB\nMemAvailable:   {100 * 1024} kB\n")
    (root / "proc/self/cgroup").write_text(f"0::{group}\n")
    for name, told in limits.items():
        folder = root / "sys/fs/cgroup" / name.replace("__", "/").strip("_")
        folder.mkdir(parents=True, exist_ok=True)
        most, used, files = told.split()
        (folder / "memory.max").write_text("max\n" if most == "max" else f"{int(most) * MB}\n")
        (folder / "memory.current").write_text(f"{int(used) * MB}\n")
        (folder / "memory.stat").write_text(f"anon 5\ninactive_file {int(files) * MB}\n")
    return root


@pytest.mark.parametrize(
    ("limits", "left_mb"),
    [
        ({}, 100),
        ({"system__inferd": "max 60 0"}, 100),
        ({"system__inferd": "80 60 0"}, 20),
        ({"system__inferd": "80 60 15"}, 35),
        ({"system__inferd": "80 60 0", "system": "70 65 0"}, 5),
        ({"system__inferd": "900 60 0"}, 100),
        ({"system__inferd": "60 70 0"}, 0),
    ],
)
def test_the_smallest_of_what_board_and_control_groups_leave_counts(
    tmp_path: Path, limits: dict[str, str], left_mb: int
) -> None:
    assert available_bytes(machine(tmp_path, "/system/inferd", **limits)) == left_mb * MB


def test_where_the_kernel_tells_nothing_nothing_is_known(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) == 0
