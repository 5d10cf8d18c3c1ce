"""The second boot of the same root: the service is back by itself; then it is removed, purged, and installed the other way."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from common import Broker, Figures, check_all, left_behind, run, shown, timed, until

broker: Broker
HOME = Path("/home/pi")
PROGRAM = HOME / "venv/bin/inferd"
STATE = Path("/var/lib/inferd")


def a_reboot_keeps_state_and_serves() -> Figures:
    """Nobody starts it; its blobs and what was dropped are still there."""
    until("active", lambda: shown("ActiveState") == "active", 60)
    ready_us, boot_us = int(shown("ActiveEnterTimestampMonotonic")), int(shown("InactiveExitTimestampMonotonic"))
    blobs = len(list((STATE / "blobs").iterdir()))
    assert blobs
    assert (STATE / "models/kept.txt").read_text() == "mine"
    global broker  # noqa: PLW0603 - one subscriber for all checks
    broker = Broker()
    return {"start_to_ready_s": round((ready_us - boot_us) / 1e6, 2), "blobs": blobs, "result_after_s": broker.back(30)}


def a_removed_package_keeps_only_state_and_configuration() -> Figures:
    """dpkg -r."""
    took_s = timed("dpkg", "-r", "inferd")
    left = [path for path in left_behind() if not path.startswith(("/var/lib/dpkg", "/var/lib/systemd"))]
    roots = sorted({"/".join(path.split("/")[:4]) for path in left if path.startswith("/")})
    assert not Path("/opt/inferd").exists()
    return {"remove_s": took_s, "left": roots}


def a_purged_package_leaves_nothing() -> Figures:
    """dpkg -P."""
    run("dpkg", "-P", "inferd")
    assert left_behind() == [], left_behind()
    return {}


def one_command_installs_it_from_a_home() -> Figures:
    """`inferd install` from an environment below a closed home, as pipx makes it."""
    run("useradd", "--create-home", "pi")
    HOME.chmod(0o700)
    run("cp", "-a", "/venv", str(PROGRAM.parents[1]))
    started = time.monotonic()
    said = run(str(PROGRAM), "install")
    active = shown("ActiveState")
    assert active == "active", f"{active}: {said}"
    return {
        "install_s": round(time.monotonic() - started, 2),
        "said": said.splitlines()[:3],
        "back_s": broker.back(30),
    }


def installing_again_changes_nothing() -> Figures:
    """The service is not even restarted."""
    control = shown("MainPID")
    said = run(str(PROGRAM), "install")
    assert "nothing changed" in said, said
    assert shown("MainPID") == control
    return {}


def an_upgraded_environment_is_brought_into_use() -> Figures:
    """`pipx install --force` leaves another version in the home; the same command takes it, and state stays."""
    control, name = shown("MainPID"), str(PROGRAM.parents[1] / "lib")
    version = next(Path(name).glob("python3*/site-packages/inferd/__init__.py"))
    version.write_text(version.read_text().replace('__version__ = "', '__version__ = "9.'))
    (STATE / "models/kept.txt").write_text("mine")
    started = time.monotonic()
    run(str(PROGRAM), "install")
    took_s = round(time.monotonic() - started, 2)
    assert shown("MainPID") not in ("0", control)
    said = run("/usr/local/bin/inferd", "--version").strip()
    assert " 9." in said, said
    assert (STATE / "models/kept.txt").read_text() == "mine"
    return {"said": said, "upgrade_s": took_s, "back_s": broker.back(30)}


def without_root_it_says_so() -> Figures:
    """The root check names the command that is right."""
    ended = subprocess.run(
        ["su", "pi", "-s", "/bin/sh", "-c", f"{PROGRAM} install"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert f"sudo {PROGRAM} install" in ended.stderr, ended
    return {"said": ended.stderr.strip()}


def uninstalling_keeps_configuration_and_state() -> Figures:
    """`inferd uninstall`."""
    run(str(PROGRAM), "uninstall")
    kept = sorted(path for path in ("/etc/inferd/inferd.toml", "/var/lib/inferd/models") if Path(path).exists())
    assert len(kept) == 2
    assert not Path("/opt/inferd").exists()
    return {"kept": kept}


def purging_leaves_nothing() -> Figures:
    """`inferd uninstall --purge`; the environment in the home is pipx's to remove."""
    run(str(PROGRAM), "uninstall", "--purge")
    assert left_behind() == [], left_behind()
    return {}


CHECKS = [
    a_reboot_keeps_state_and_serves,
    a_removed_package_keeps_only_state_and_configuration,
    a_purged_package_leaves_nothing,
    one_command_installs_it_from_a_home,
    installing_again_changes_nothing,
    an_upgraded_environment_is_brought_into_use,
    without_root_it_says_so,
    uninstalling_keeps_configuration_and_state,
    purging_leaves_nothing,
]

if __name__ == "__main__":
    sys.exit(check_all("reboot", CHECKS))
