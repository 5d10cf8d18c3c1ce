"""Which file goes where. Pure: texts in, texts out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from inferd.accelerators.table import udev_rules
from inferd.config.sample import sample

UNIT = "inferd.service"
OPT = Path("/opt/inferd")
PROGRAM = OPT / "bin/inferd"  # what the unit file names
CONFIG_DIR = Path("/etc/inferd")
CONFIG = CONFIG_DIR / "inferd.toml"
STATE_DIR = Path("/var/lib/inferd")
RUNTIME_DIR = Path("/run/inferd")
UNIT_DIR = Path("/etc/systemd/system")
DROPIN_DIR = UNIT_DIR / f"{UNIT}.d"
SYSUSERS = Path("/etc/sysusers.d/inferd.conf")
TMPFILES = Path("/etc/tmpfiles.d/inferd.conf")
UDEV_RULES = Path("/etc/udev/rules.d")
COMMAND = Path("/usr/local/bin/inferd")
GROUPS_MADE = STATE_DIR / ".groups-made"  # what sysusers had to create, for `uninstall --purge`
NEW_WORDS = 254  # systemd's version since which the drop-in is understood
READABLE = 0o644


@dataclass(frozen=True, slots=True)
class Placed:
    """A text and where it goes."""

    path: Path
    text: str


def source_dir() -> Path:
    """Return the folder of unit files: inside the installed package, or beside its sources."""
    installed = Path(__file__).parent / "units"
    return installed if installed.exists() else Path(__file__).parents[3] / "systemd"


def files(units: Path, program: Path, systemd_version: int) -> list[Placed]:
    """Return all files of an installation but the configuration.

    Args:
        units: the folder they are taken from.
        program: what the service runs.
        systemd_version: of the system they are for.
    """
    unit = (units / UNIT).read_text().replace(str(PROGRAM), str(program))
    placed = [
        Placed(UNIT_DIR / UNIT, unit),
        Placed(SYSUSERS, (units / "inferd.sysusers").read_text()),
        Placed(TMPFILES, (units / "inferd.tmpfiles").read_text()),
        *(Placed(UDEV_RULES / name, (units / name).read_text()) for name in udev_rules()),
    ]
    if systemd_version >= NEW_WORDS:
        dropin = "10-systemd-254.conf"
        placed.append(Placed(DROPIN_DIR / dropin, (units / "dropins" / dropin).read_text()))
    return placed


def starting_config() -> str:
    """Return the sample configuration with its example pipeline commented out, so that the built-in one runs."""
    head, _, pipeline = sample().partition("[[pipeline]]")
    lines = f"[[pipeline]]{pipeline}".splitlines()
    commented = [line if not line or line.startswith("#") else f"# {line}" for line in lines]
    return head + "\n".join(commented) + "\n"


def groups(sysusers: str) -> list[str]:
    """Return the groups whose membership a sysusers file gives."""
    return [line.split()[2] for line in sysusers.splitlines() if line.startswith("m ")]
