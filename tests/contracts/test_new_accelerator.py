"""A second accelerator is added to a scratch copy as docs/architecture.md says, and keeps to the whole contract there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.models.fake_delegate import COMPILER
from fixtures.paths import PROJECT, TESTS

FILE = TESTS / "fixtures" / "accelerators" / "fakenpu.py"
SUITE = TESTS / "contracts" / "test_accelerator.py"
RULE = 'SUBSYSTEM=="usb", ATTR{idVendor}=="1209", ATTR{idProduct}=="0001", MODE="0660", GROUP="plugdev"\n'


def scratch_copy(folder: Path) -> Path:
    """Copy what is changed; link what is only read."""
    shutil.copytree(PROJECT / "agent", folder / "agent", ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    shutil.copytree(PROJECT / "systemd", folder / "systemd")
    shutil.copytree(PROJECT / "docs", folder / "docs")
    for name in ("models", "tests", "pyproject.toml"):
        (folder / name).symlink_to(PROJECT / name)
    return folder


def add_line(file: Path, pattern: str, with_new: str) -> None:
    """Change one line of a file."""
    text, changes = re.subn(pattern, with_new, file.read_text(), count=1, flags=re.MULTILINE)
    assert changes == 1
    file.write_text(text)


def add_accelerator(copy: Path) -> None:
    """Carry out the row "an accelerator" of the table "Where to change what"."""
    folder = copy / "agent" / "inferd" / "accelerators"
    shutil.copy(FILE, folder)
    (copy / "systemd" / "70-inferd-fakenpu.rules").write_text(RULE)
    add_line(folder / "table.py", r"^(from .* import EDGETPU)$", r"\1\nfrom inferd.accelerators.fakenpu import FAKENPU")
    add_line(folder / "table.py", r"\(EDGETPU,\)", "(EDGETPU, FAKENPU)")
    with (copy / "docs" / "accelerators.md").open("a") as page:
        page.write("\n## A Fake NPU\n")


def run_suite(copy: Path, *options: str) -> subprocess.CompletedProcess[str]:
    paths = (copy / "agent", TESTS)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(SUITE)]
    return subprocess.run(
        command, env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no gcc; apt-get install gcc")
def test_an_accelerator_is_added_by_its_file_its_rules_a_line_a_row_and_a_heading(tmp_path: Path) -> None:
    copy = scratch_copy(tmp_path)
    add_accelerator(copy)
    done = run_suite(copy, "-k", "fakenpu or row or not edgetpu")
    assert done.returncode == 0, done.stdout[-3000:]
    assert re.search(r"\b2[0-9] passed", done.stdout), done.stdout[-300:]


@pytest.mark.slow
@pytest.mark.skipif(COMPILER is None, reason="there is no gcc; apt-get install gcc")
def test_the_contract_names_what_was_forgotten(tmp_path: Path) -> None:
    copy = scratch_copy(tmp_path)
    add_accelerator(copy)
    (copy / "systemd" / "70-inferd-fakenpu.rules").unlink()
    done = run_suite(copy, "-k", "fakenpu and (nodes or heading)")
    assert done.returncode == 1
    assert "test_its_device_nodes_are_opened_to_the_service[fakenpu]" in done.stdout
