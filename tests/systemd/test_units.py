"""The unit files, as systemd itself judges them. What only a running systemd shows is in test_booted.py."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from inferd.control.models.drop_folder import GROUP
from inferd.system.files.atomic import SHARED

SYSTEMD = Path(__file__).parents[2] / "systemd"
EXPOSURE = 15  # tenths
KEPT = {"char-81": "cameras", "char-89": "I2C", "char-189": "USB", "char-apex": "PCIe TPU", "char-gpiochip": "GPIO"}


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze, or skip where there is none."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze; apt-get install systemd")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


def startable(unit: Path, folder: Path) -> Path:
    """Return a copy of a unit whose program exists here."""
    copy = folder / unit.name
    copy.write_text(unit.read_text().replace("/opt/inferd/bin/inferd", "/bin/true"))
    return copy


def known_systemd() -> int:
    """Return the version of the systemd that is installed here."""
    return int(analyze("--version").stdout.split()[1])


def test_the_unit_is_right(tmp_path: Path) -> None:
    checked = analyze("verify", str(startable(SYSTEMD / "inferd.service", tmp_path)))
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_unit_is_right_with_the_words_of_newer_systemds(tmp_path: Path) -> None:
    if known_systemd() < 254:
        pytest.skip("this systemd is older than 254")
    unit = startable(SYSTEMD / "inferd.service", tmp_path)
    shutil.copytree(SYSTEMD / "dropins", tmp_path / "inferd.service.d")
    checked = analyze("verify", str(unit))
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.mark.parametrize("example", ["credentials.conf", "reboot-when-hopeless.conf"])
def test_the_unit_is_right_with_each_example(example: str, tmp_path: Path) -> None:
    unit = startable(SYSTEMD / "inferd.service", tmp_path)
    dropins = tmp_path / "inferd.service.d"
    dropins.mkdir()
    shutil.copy(SYSTEMD / "examples" / example, dropins)
    checked = analyze("verify", str(unit))
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_exposure_is_at_most_1_5() -> None:
    unit = str(SYSTEMD / "inferd.service")
    judged = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit)
    assert judged.returncode == 0, judged.stdout


@pytest.mark.parametrize("device", KEPT)
def test_the_devices_of_a_board_are_kept(device: str) -> None:
    assert f"DeviceAllow={device} rw\n" in (SYSTEMD / "inferd.service").read_text()


def test_tmpfiles_makes_the_drop_folder_as_the_agent_would() -> None:
    assert f"d /var/lib/inferd/models {SHARED:o} inferd {GROUP} -" in (SYSTEMD / "inferd.tmpfiles").read_text()


def test_a_wrong_configuration_is_not_tried_again() -> None:
    assert "RestartPreventExitStatus=2 78\n" in (SYSTEMD / "inferd.service").read_text()


def test_every_setting_of_the_unit_is_explained() -> None:
    settings = re.findall(r"^([A-Z]\w+)=", (SYSTEMD / "inferd.service").read_text(), re.MULTILINE)
    told = (SYSTEMD / "README.md").read_text()
    plain = {"Description", "Documentation", "ExecStart", "Group", "WantedBy", "SyslogIdentifier"}
    modes = {"StateDirectoryMode", "RuntimeDirectoryMode", "SystemCallErrorNumber"}
    assert [name for name in dict.fromkeys(settings) if name not in told and name not in plain | modes] == []
