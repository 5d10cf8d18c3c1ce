"""`inferd install` and `inferd uninstall`: the steps, in order. Doing them twice changes nothing more."""

from __future__ import annotations

import re
from pathlib import Path

from inferd.accelerators.table import ACCELERATORS
from inferd.errors import InferdError
from inferd.install import layout
from inferd.install.environment import MARK, Environment, check, copy, reachable
from inferd.install.host import Host

PACKAGED = Path("/var/lib/dpkg/info/inferd.list")


def install(host: Host, environment: Environment, *, start: bool) -> None:
    """Make a service of this inferd: environment, user, folders, units, a configuration; enable it, and start it.

    Raises:
        InferdError: something stands in the way; what was done stays, and doing it again goes on from there.
    """
    _refuse_packaged(host)
    program = _program(host, environment)
    for placed in layout.files(layout.source_dir(), program, _systemd_version(host)):
        host.place(placed.path, placed.text, layout.READABLE)
    if not host.path(layout.CONFIG).exists():
        host.place(layout.CONFIG, layout.starting_config(), layout.READABLE)
    host.link(layout.COMMAND, program)
    _make_account(host)
    host.must("systemctl", *_rooted(host), "enable", "--quiet", layout.UNIT)
    if host.booted:
        host.must("systemctl", "daemon-reload")
        _reload_udev(host)
        if start:
            host.must("systemctl", "restart" if host.changed else "start", layout.UNIT)


def uninstall(host: Host, environment: Environment, *, purge: bool) -> None:
    """Take the service out again; configuration, state and user stay unless `purge`.

    Raises:
        InferdError: inferd came as a Debian package, or a program of the system failed.
    """
    _refuse_packaged(host)
    units = layout.files(layout.source_dir(), layout.PROGRAM, layout.NEW_WORDS)
    if host.path(layout.UNIT_DIR / layout.UNIT).exists():
        if host.booted:
            host.must("systemctl", "stop", layout.UNIT)
        host.must("systemctl", *_rooted(host), "disable", "--quiet", layout.UNIT)
    made = _groups_made(host)
    for placed in units:
        host.remove(placed.path)
    _remove_command(host, environment)
    if purge:
        _purge(host, made)
    _remove_if_empty(host, layout.DROPIN_DIR)
    if host.booted:
        host.must("systemctl", "daemon-reload")
        host.may("systemctl", "reset-failed", layout.UNIT)
        _reload_udev(host)
    if host.path(layout.OPT / MARK).exists():
        host.remove(layout.OPT)  # last: this program may run from there


def _refuse_packaged(host: Host) -> None:
    if host.path(PACKAGED).exists():
        raise InferdError("inferd", "is installed as a Debian package here; use apt to install, upgrade and remove it")


def _program(host: Host, environment: Environment) -> Path:
    """Return what the service is to run: this inferd where it can be reached, else a copy."""
    check(environment)
    if reachable(environment.prefix / "bin"):
        return environment.prefix / "bin/inferd"
    if copy(environment, host.path(layout.OPT), layout.OPT):
        host.told(f"copied: {environment.prefix} to {layout.OPT}, where the service can reach it")
    return layout.PROGRAM


def _systemd_version(host: Host) -> int:
    """Return which systemd this is for."""
    found = re.match(r"systemd (\d+)", host.must("systemctl", "--version"))
    return int(found[1]) if found else 0


def _rooted(host: Host) -> tuple[str, ...]:
    return () if host.here else (f"--root={host.root}",)


def _make_account(host: Host) -> None:
    """Create user, groups and folders, and remember which groups were not there."""
    text = (layout.source_dir() / "inferd.sysusers").read_text()
    missing = [name for name in layout.groups(text) if not host.has_group(name)]
    host.must("systemd-sysusers", *_rooted(host), str(layout.SYSUSERS))
    host.must("systemd-tmpfiles", *_rooted(host), "--create", str(layout.TMPFILES))
    if missing:
        host.place(layout.GROUPS_MADE, "".join(f"{name}\n" for name in missing), layout.READABLE)


def _groups_made(host: Host) -> list[str]:
    file = host.path(layout.GROUPS_MADE)
    return file.read_text().split() if file.exists() else []


def _remove_command(host: Host, environment: Environment) -> None:
    """Remove the command from the search path, if it is the link that we made."""
    where = host.path(layout.COMMAND)
    if where.is_symlink() and where.readlink() in (layout.PROGRAM, environment.prefix / "bin/inferd"):
        host.remove(layout.COMMAND)


def _purge(host: Host, groups_made: list[str]) -> None:
    for path in (layout.CONFIG_DIR, layout.STATE_DIR, layout.RUNTIME_DIR, layout.DROPIN_DIR):
        host.remove(path)
    rooted = () if host.here else ("--prefix", str(host.root))
    if host.may("userdel", *rooted, "inferd"):
        host.told("removed: the user inferd")
    for name in groups_made:
        if host.may("groupdel", *rooted, name):
            host.told(f"removed: the group {name}")


def _remove_if_empty(host: Host, folder: Path) -> None:
    where = host.path(folder)
    if where.is_dir() and not any(where.iterdir()):
        where.rmdir()


def _reload_udev(host: Host) -> None:
    if host.may("udevadm", "control", "--reload"):
        subsystems = ("usb", *(one.device_node.rstrip("_") for one in ACCELERATORS if one.device_node))
        host.may("udevadm", "trigger", *(f"--subsystem-match={one}" for one in subsystems))
