"""The first boot: the package is installed, the service serves, and then everything goes wrong."""

from __future__ import annotations

import json
import signal
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

from common import Broker, Figures, check_all, configure, kill, process, run, shown, timed, until

FAKE = """
[[pipeline]]
name = "{name}"
model = "{name}"
[pipeline.source]
kind = "synthetic"
width = 64
height = 64
[pipeline.pace]
mode = "fixed"
fps = 10
[pipeline.overrides]
task = "raw"
[pipeline.engine]
kind = "fake"
[pipeline.engine.fake]
{fake}
"""
STATE = Path("/var/lib/inferd")
SETTLED_S = 0.5  # a reload is in use long before
DIGITS = """
[[pipeline]]
name = "digits"
model = "{folder}"
[pipeline.source]
kind = "video"
path = "{folder}/clip.avi"
[pipeline.pace]
at_end = "loop"
[pipeline.report]
max_per_s = 0
"""
broker: Broker


def bundled() -> Path:
    """Return the folder of the digits model."""
    return next(Path("/opt/inferd/lib").glob("python3*/site-packages/inferd/bundled/digits"))


def install() -> Figures:
    """Install the package; the service is active when dpkg is done."""
    global broker  # noqa: PLW0603 - the broker is heard from the first moment on
    run("systemctl", "start", "mosquitto")
    broker = Broker()
    took_s = timed("dpkg", "-i", next(str(path) for path in Path("/in").glob("*.deb")))
    assert shown("ActiveState") == "active", shown("ActiveState")
    disk_kb = int(run("du", "-sk", "/opt/inferd").split()[0])
    return {"install_s": took_s, "status": shown("StatusText"), "disk_mb": disk_kb // 1024}


def the_unit_is_right_here() -> Figures:
    """This release's systemd understands every line, and gives it an exposure of at most 1.5."""
    unit = run("systemctl", "show", "inferd", "-P", "FragmentPath").strip()
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
    )
    said = [line for line in checked.stderr.splitlines() if "inferd" in line]
    assert said == [], said  # other units of a bare root have faults of their own
    judged = run("systemd-analyze", "security", "--offline=true", "--threshold=15", unit)
    return {"exposure": judged.strip().splitlines()[-1], "type": shown("Type")}


def the_doctor_finds_nothing_wrong() -> Figures:
    """Not even a note, with the service, its broker and its clock as they are; asked by root, and within its time."""
    told = json.loads(run("inferd", "doctor", "--json"))
    assert told["findings"] == [], told["findings"]
    assert told["user"] == "inferd", told["user"]
    return {"checks": told["checks"], "unchecked": [one["id"] for one in told["unchecked"]], "took_ms": told["took_ms"]}


def the_support_bundle_holds_what_the_service_says_of_itself() -> Figures:
    """Metrics and models come over the control socket of the service."""
    said = run("inferd", "support-bundle", "--output", str(STATE / "bundle.tar.gz"))
    (STATE / "bundle.tar.gz").unlink()
    lines = [line for line in said.splitlines() if line.startswith(("agent/", "journal", "inferd.service"))]
    assert all("left out" not in line for line in lines), lines
    return {"bundle": lines}


def inferences_arrive_at_the_broker() -> Figures:
    """Real results of the bundled model, every one with its label."""
    broker.mark()
    until("50 results", lambda: len(broker.results()) >= 50, 30)
    results = [body for _, body in broker.results()]
    assert all(body["labels"][0]["label"].isdigit() for body in results)
    return {"results": len(results), "model": results[0]["model"]}


def the_processor_kernels_run_without_writable_code() -> Figures:
    """XNNPACK has taken nodes although no memory may be writable and executable, and system calls are filtered."""
    assert shown("MemoryDenyWriteExecute") == "yes"
    status = Path(f"/proc/{process('inferd-worker')}/status").read_text()
    seccomp = next(line.split()[1] for line in status.splitlines() if line.startswith("Seccomp:"))
    assert seccomp == "2", f"Seccomp: {seccomp}"
    told = run("mosquitto_sub", "-t", "inferd/+/digits/model", "-C", "1", "-W", "5")
    model = json.loads(told)
    return {"seccomp": seccomp, "model": {key: model[key] for key in model if "node" in key or "runtime" in key}}


def nothing_runs_as_root() -> Figures:
    """All processes of the service belong to inferd and have no capability."""
    pids = run("pgrep", "^inferd").split()
    owners = {run("stat", "-c", "%U", f"/proc/{pid}").strip() for pid in pids}
    assert owners == {"inferd"}, owners
    for pid in pids:
        assert "CapEff:\t0000000000000000" in Path(f"/proc/{pid}/status").read_text()
    names = [Path(f"/proc/{pid}/comm").read_text().strip() for pid in pids]
    return {"processes": names}


def the_drop_folder_is_open_to_the_group() -> Figures:
    """Mode 2775, and what a member of the group copies into it belongs to the group."""
    run("useradd", "--groups", "inferd", "pi")
    run("su", "pi", "-s", "/bin/sh", "-c", "umask 022; echo model > /var/lib/inferd/models/dropped.txt")
    mode = run("stat", "-c", "%a %G", str(STATE / "models"), str(STATE / "models/dropped.txt")).split("\n")
    assert mode[0] == "2775 inferd"
    assert mode[1].endswith(" inferd"), mode
    (STATE / "models/dropped.txt").unlink()
    run("userdel", "pi")
    return {"mode": mode[0]}


def a_pipeline_is_configured() -> Figures:
    """The built-in example is for a device without any pipeline; from here on it is named, so that others can join it."""
    configure("digits", DIGITS.format(folder=bundled()))
    return {"back_s": broker.back(30)}


def a_killed_worker_is_back() -> Figures:
    """kill -9 of the worker, five times; the service is never restarted."""
    control, times = shown("MainPID"), []
    for _ in range(5):
        broker.mark()
        since = time.time()
        kill(process("inferd-worker"))
        times.append(broker.recovered(since, "worker.started", 60))
        time.sleep(1)
    assert shown("MainPID") == control
    return {"back_s": times, "median_s": statistics.median(times)}


def a_killed_control_is_back() -> Figures:
    """kill -9 of control, three times."""
    times = []
    for _ in range(3):
        broker.mark()
        since = time.time()
        kill(int(shown("MainPID")))
        times.append(broker.recovered(since, "agent.started", 60))
        until("active", lambda: shown("ActiveState") == "active", 30)
    return {"back_s": times, "restarts": shown("NRestarts")}


def a_hanging_engine_is_replaced() -> Figures:
    """An invoke that never returns is killed at its deadline and named; the other pipeline is back with it."""
    control = shown("MainPID")
    broker.mark()
    configure("hangs", FAKE.format(name="hangs", fake="hang_at = 30"))
    hung_s, event = broker.wait("/event", lambda body: body["kind"] == "worker.hung", 60)
    noticed = next(at for at, body in broker.heard("/event") if body["kind"] == "worker.hung")
    back_s = broker.recovered(noticed, "worker.started", 60)
    assert shown("MainPID") == control
    configure("hangs", None)
    return {"configured_to_noticed_s": hung_s, "noticed_to_digits_back_s": back_s, "why": event["message"]}


def a_crashing_engine_leaves_the_service_up() -> Figures:
    """An engine that dies by SIGSEGV at every start is named; control stays, restarts are spaced out."""
    control = shown("MainPID")
    broker.mark()
    configure("crashes", FAKE.format(name="crashes", fake="crash_at = 5"))
    time.sleep(15)
    deaths = [body for _, body in broker.heard("/event") if body["kind"] == "worker.died"]
    assert shown("MainPID") == control
    assert deaths
    configure("crashes", None)
    broker.back(90)
    return {"deaths_in_15_s": len(deaths), "why": deaths[0]["message"]}


def a_slow_model_is_left_alone() -> Figures:
    """An invoke of 8 s, five times in a row: no worker and no service is restarted."""
    until("a worker", lambda: process("inferd-worker"), 90)
    worker, control = process("inferd-worker"), shown("MainPID")
    broker.mark()
    configure("slow", FAKE.format(name="slow", fake="invoke_ms = 8000"))
    until("five slow results", lambda: len(broker.results("slow")) >= 5, 120)
    assert (process("inferd-worker"), shown("MainPID")) == (worker, control)
    configure("slow", None)
    return {"results": 5, "status": shown("StatusText")}


def a_frozen_control_is_replaced_by_the_watchdog() -> Figures:
    """SIGSTOP of control: systemd notices after WatchdogSec."""
    frozen = int(shown("MainPID"))
    broker.mark()
    since = time.time()
    kill(frozen, signal.SIGSTOP)
    replaced_s = until("another control", lambda: shown("MainPID") not in ("0", str(frozen)), 60)
    return {"replaced_s": replaced_s, "results_back_s": broker.recovered(since, "agent.started", 60)}


def a_vanished_source_is_named_and_comes_back() -> Figures:
    """A clip that is taken away and put back; the service stays what it is, and says waiting meanwhile."""
    clip, model = STATE / "clip.avi", bundled()
    run("cp", str(model / "clip.avi"), str(clip))
    control = shown("MainPID")
    text = f'[[pipeline]]\nname = "vanishes"\nmodel = "{model}"\n[pipeline.source]\nkind = "video"\npath = "{clip}"\n'
    broker.mark()
    configure("vanishes", text + '[pipeline.pace]\nmode = "fast"\nat_end = "loop"\n')
    broker.wait("/vanishes/result", lambda _: True, 30)
    broker.mark()
    clip.rename(STATE / "away.avi")
    gone_s, status = broker.wait("/vanishes/status", lambda body: body["status"] == "waiting", 60)
    (STATE / "away.avi").rename(clip)
    back_s = broker.back(60, "vanishes")
    assert shown("MainPID") == control
    configure("vanishes", None)
    clip.unlink()
    return {"named_s": gone_s, "why": status["why"], "back_s": back_s}


def a_reload_loses_no_frame() -> Figures:
    """Three reloads while results flow: around them, their numbers have no gap; a busy machine may lose one elsewhere."""
    broker.mark()
    reloads = []
    for _ in range(3):
        time.sleep(1)
        began = time.time()
        took_s = timed("systemctl", "reload", "inferd")
        reloads.append((began, time.time() + SETTLED_S))
    time.sleep(2)
    results = [(at, int(body["frame"])) for at, body in broker.results()]
    lost = [at for (_, before), (at, after) in pairwise(results) if after - before > 1]  # the clip begins anew with 0
    assert len(results) > 30
    assert [at for at in lost if any(began <= at <= ended for began, ended in reloads)] == []
    return {"reload_s": took_s, "results": len(results), "lost_elsewhere": len(lost)}


def a_wrong_configuration_changes_nothing() -> Figures:
    """A reload of a misspelt file is refused with its name; results go on."""
    broker.mark()
    configure("wrong", '[mqtt]\nhots = "x"\n')
    _, event = broker.wait("/event", lambda body: body["kind"] == "config.refused", 10)
    broker.back(10)
    return {"why": event["message"]}


def a_wrong_configuration_at_the_start_is_not_retried() -> Figures:
    """Exit code 78 ends the service; systemd does not loop."""
    subprocess.run(["systemctl", "restart", "inferd"], check=False)
    time.sleep(8)
    result = {name: shown(name) for name in ("ActiveState", "ExecMainStatus", "NRestarts")}
    assert result == {"ActiveState": "failed", "ExecMainStatus": "78", "NRestarts": "0"}, result
    (Path("/etc/inferd/inferd.d") / "wrong.toml").unlink()
    run("systemctl", "start", "inferd")
    broker.back(30)
    return dict(result)


def a_missing_group_would_keep_it_from_starting() -> Figures:
    """Why the unit names no SupplementaryGroups: one that does not exist ends a service with 216/GROUP."""
    dropin = Path("/etc/systemd/system/inferd.service.d/groups.conf")
    dropin.parent.mkdir(exist_ok=True)
    dropin.write_text("[Service]\nSupplementaryGroups=no-such-group\nRestart=no\n")
    run("systemctl", "daemon-reload")
    subprocess.run(["systemctl", "restart", "inferd"], check=False, capture_output=True)
    status = shown("ExecMainStatus")
    dropin.unlink()
    dropin.parent.rmdir()
    run("systemctl", "daemon-reload")
    run("systemctl", "start", "inferd")
    assert status == "216", status
    return {"status": status}


def a_secret_comes_by_credential() -> Figures:
    """The example drop-in: the broker asks for a password that only root can read on the disk."""
    secrets = Path("/etc/inferd/credentials")
    secrets.mkdir(mode=0o700)
    (secrets / "mqtt-password").write_text("s3cret\n")
    (secrets / "mqtt-password").chmod(0o600)
    run("mosquitto_passwd", "-b", "-c", "/etc/mosquitto/passwd", "board", "s3cret")
    run("chown", "mosquitto:", "/etc/mosquitto/passwd")
    Path("/etc/mosquitto/conf.d/second.conf").write_text(
        "per_listener_settings true\nlistener 1883 127.0.0.1\nallow_anonymous true\n"
        "listener 1884 127.0.0.1\npassword_file /etc/mosquitto/passwd\n"
    )
    run("systemctl", "restart", "mosquitto")
    dropin = Path("/etc/systemd/system/inferd.service.d/credentials.conf")
    dropin.parent.mkdir(exist_ok=True)
    dropin.write_text(Path("/usr/share/doc/inferd/examples/credentials.conf").read_text())
    path = "/run/credentials/inferd.service/mqtt-password"
    run("systemctl", "daemon-reload")
    Path("/etc/inferd/inferd.d/broker.toml").write_text(
        f'[mqtt]\nport = 1884\nusername = "board"\npassword_file = "{path}"\n'
    )
    run("systemctl", "restart", "inferd")
    login = ("-p", "1884", "-u", "board", "-P", "s3cret")
    heard = run("mosquitto_sub", *login, "-t", "inferd/+/digits/result", "-C", "3", "-W", "20")
    Path("/etc/inferd/inferd.d/broker.toml").unlink()
    dropin.unlink()
    dropin.parent.rmdir()
    run("systemctl", "daemon-reload")
    run("systemctl", "restart", "inferd")
    return {"results": len(heard.splitlines())}


def it_stops_in_two_seconds() -> Figures:
    """systemctl stop, five times, while it infers; and with an engine that hangs."""
    times = []
    for _ in range(5):
        broker.back(30)
        times.append(timed("systemctl", "stop", "inferd"))
        run("systemctl", "start", "inferd")
    Path("/etc/inferd/inferd.d/hangs.toml").write_text(FAKE.format(name="hangs", fake="hang_at = 5"))
    run("systemctl", "restart", "inferd")
    time.sleep(3)
    hanging_s = timed("systemctl", "stop", "inferd")
    Path("/etc/inferd/inferd.d/hangs.toml").unlink()
    run("systemctl", "start", "inferd")
    assert max([*times, hanging_s]) <= 2.0, (times, hanging_s)
    return {"stop_s": times, "hanging_s": hanging_s}


def an_upgrade_keeps_state_and_configuration() -> Figures:
    """The same package again: what was dropped and configured stays, and it serves."""
    config = Path("/etc/inferd/inferd.toml")
    config.write_text(config.read_text() + "\n# mine\n")
    (STATE / "models/kept.txt").write_text("mine")
    took_s = timed("dpkg", "-i", next(str(path) for path in Path("/in").glob("*.deb")))
    assert config.read_text().endswith("# mine\n")
    return {"upgrade_s": took_s, "back_s": broker.back(30)}


CHECKS = [
    install,
    the_unit_is_right_here,
    inferences_arrive_at_the_broker,
    the_processor_kernels_run_without_writable_code,
    nothing_runs_as_root,
    the_drop_folder_is_open_to_the_group,
    a_pipeline_is_configured,
    the_doctor_finds_nothing_wrong,
    the_support_bundle_holds_what_the_service_says_of_itself,
    a_killed_worker_is_back,
    a_killed_control_is_back,
    a_hanging_engine_is_replaced,
    a_crashing_engine_leaves_the_service_up,
    a_slow_model_is_left_alone,
    a_frozen_control_is_replaced_by_the_watchdog,
    a_vanished_source_is_named_and_comes_back,
    a_reload_loses_no_frame,
    a_wrong_configuration_changes_nothing,
    a_wrong_configuration_at_the_start_is_not_retried,
    a_missing_group_would_keep_it_from_starting,
    a_secret_comes_by_credential,
    it_stops_in_two_seconds,
    an_upgrade_keeps_state_and_configuration,
]

if __name__ == "__main__":
    sys.exit(check_all("package", CHECKS))
