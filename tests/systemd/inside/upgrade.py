"""The older package serves a dropped model; the present one and a newer one take over; the way back is refused."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

from common import Broker, Figures, check_all, configure, run, shown, timed, until

STATE = Path("/var/lib/inferd")
FOLLOWING = """
[models]
trial_results = 20
[[pipeline]]
name = "mine"
model = "mine"
[pipeline.source]
kind = "video"
path = "{folder}/clip.avi"
[pipeline.pace]
at_end = "loop"
"""
broker: Broker


def the_older_version_serves_a_dropped_model() -> Figures:
    """A copy of the digits model under a name of its own."""
    global broker  # noqa: PLW0603 - one subscriber for all checks
    run("systemctl", "start", "mosquitto")
    broker = Broker()
    run("dpkg", "-i", "/in/older.deb")
    bundled = next(Path("/opt/inferd/lib").glob("python3*/site-packages/inferd/bundled/digits"))
    run("cp", "-r", str(bundled), str(STATE / "clips"))
    dropped = STATE / "models/mine"
    run("cp", "-r", str(bundled), str(dropped))
    manifest = dropped / "model.toml"
    manifest.write_text(manifest.read_text().replace('name = "digits"', 'name = "mine"'))
    configure("mine", FOLLOWING.format(folder=STATE / "clips"))
    took_s = broker.back(60, "mine")
    until("the trial is over", lambda: _active() is not None, 30)
    return {"served_s": took_s, **_serving()}


def the_present_version_goes_on_with_it() -> Figures:
    """The service is restarted with the new files; state and what serves are the same."""
    before, control = _serving(), shown("MainPID")
    broker.mark()
    started = time.time()
    took_s = timed("dpkg", "-i", "/in/present.deb")
    assert shown("MainPID") not in ("0", control)
    back_s = broker.recovered(started, "agent.started", 60, "mine")
    after = _serving()
    assert after["digest"] == before["digest"], (before, after)
    assert after["inferd"] != before["inferd"], (before, after)
    return {"upgrade_s": took_s, "results_back_s": back_s, **after}


def a_newer_version_goes_on_with_it() -> Figures:
    """It marks the state folder with its own format."""
    broker.mark()
    started = time.time()
    run("dpkg", "-i", "/in/newer.deb")
    back_s = broker.recovered(started, "agent.started", 60, "mine")
    assert json.loads((STATE / "format.json").read_text())["format"] == 2
    return {"results_back_s": back_s, **_serving()}


def the_way_back_is_refused_by_name_and_touches_nothing() -> Figures:
    """Exit code 78, not retried, and the sentence that names both versions."""
    run("systemctl", "stop", "inferd")
    before = _contents()
    subprocess.run(["dpkg", "-i", "/in/present.deb"], check=False, capture_output=True)
    until("it has ended", lambda: shown("ActiveState") == "failed", 30)
    assert shown("ExecMainStatus") == "78", shown("ExecMainStatus")
    said = run("journalctl", "-u", "inferd", "--no-pager", "-o", "cat", "-n", "40")
    line = next(line for line in said.splitlines() if "state format" in line)
    assert _contents() == before
    return {"said": line}


def the_newer_version_serves_again() -> Figures:
    """Nothing was lost on the way."""
    run("dpkg", "-i", "/in/newer.deb")
    return {"back_s": broker.back(60, "mine"), **_serving()}


def _serving() -> dict[str, str]:
    """Return which inferd runs, and which model serves."""
    active = _active()
    assert active is not None, run("inferd", "models", "status")
    return {"inferd": run("inferd", "--version").strip(), "digest": active[:12]}


def _active() -> str | None:
    """Return the digest of the model that serves and has proved itself, None where none has."""
    told = json.loads(run("inferd", "models", "status", "--json"))
    proven = [model for key in told for model in key["models"] if model.get("role") == "active"]
    return str(proven[0]["digest"]) if proven and proven[0]["name"] == "mine" else None


def _contents() -> dict[str, str]:
    """Return every file of the state folder with a digest of what is in it."""
    files = sorted(path for path in STATE.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


CHECKS = [
    the_older_version_serves_a_dropped_model,
    the_present_version_goes_on_with_it,
    a_newer_version_goes_on_with_it,
    the_way_back_is_refused_by_name_and_touches_nothing,
    the_newer_version_serves_again,
]

if __name__ == "__main__":
    sys.exit(check_all("upgrade", CHECKS))
