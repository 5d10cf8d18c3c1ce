"""Runs inside an emulated PC that is like a Pi: no clock of its own, no memory cgroup. The package has to do without both."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from common import CONFIG_D, Broker, Figures, check_all, process, run, shown, until
from kernel import HOG, PATIENT_S, a_model_has_proved_itself, drop
from package import DIGITS, bundled

TLS = """
[mqtt]
host = "localhost"
port = 8883
tls = true
ca_file = "/in/ca.pem"
[metrics]
interval_s = 5.0
"""
LISTENERS = """
per_listener_settings true
listener 1883 127.0.0.1
allow_anonymous true
listener 8883 127.0.0.1
allow_anonymous true
certfile /etc/mosquitto/certs/localhost.pem
keyfile /etc/mosquitto/certs/localhost.key
"""
HOURS_S = 5 * 3600
LIMIT_MB = 300
broker: Broker


def it_starts_in_1970() -> Figures:
    """Inference waits for no clock; the broker's certificate does, and that is said."""
    global broker  # noqa: PLW0603 - one subscriber for all checks
    run("systemctl", "stop", "inferd")
    for name in ("localhost.pem", "localhost.key"):
        run("install", "-o", "mosquitto", f"/in/{name}", f"/etc/mosquitto/certs/{name}")
    Path("/etc/mosquitto/conf.d/tls.conf").write_text(LISTENERS)
    run("systemctl", "restart", "mosquitto")
    broker = Broker()
    CONFIG_D.mkdir(exist_ok=True)
    (CONFIG_D / "digits.toml").write_text(DIGITS.format(folder=bundled()) + TLS)
    run("date", "--set", "1970-01-01 00:10:00")
    run("systemctl", "start", "inferd")
    until("a rate", lambda: "fps" in shown("StatusText"), PATIENT_S)
    until("the reason", lambda: "is not valid yet" in journal(), PATIENT_S)
    said = [line.split(": ", 1)[1] for line in journal().splitlines() if "is not valid yet" in line]
    return {"date": run("date", "-u").strip(), "status": shown("StatusText"), "said": said}


def journal() -> str:
    """Return what the service has logged."""
    return run("journalctl", "--unit=inferd", "--boot", "--no-pager", "--output=cat")


def the_time_comes() -> Figures:
    """The broker is reached at once; what was said before is marked, and what to add is told."""
    control, now_s = shown("MainPID"), int(Path("/in/now").read_text())
    broker.mark()
    run("date", "--set", f"@{now_s}")
    took_s = until("that the clock was set", lambda: events("clock.set"), PATIENT_S)
    broker.wait("/digits/result", lambda body: "unsynchronised" not in body, PATIENT_S)
    early = [body for body in events() if str(body["time"]).startswith("1970")]
    assert early, "nothing from 1970 arrived"
    assert all(body.get("unsynchronised") is True for body in early), early
    by_s = events("clock.set")[0]["data"]["by_s"]
    assert abs(by_s - now_s) < 3600
    assert shown("MainPID") == control
    return {"connected_s": took_s, "by_s": by_s, "from_1970": len(early)}


def events(kind: str = "") -> list[dict[str, Any]]:  # Any: JSON
    """Return all events since the mark, as they came or in batches of what was missed; of one kind where it is named."""
    told = [body for _, body in broker.heard("/event")]
    for _, batch in broker.heard("/replay"):
        told += [one["message"] for one in json.loads(batch.get("text", "[]")) if isinstance(one["message"], dict)]
    return [body for body in told if "kind" in body and kind in ("", body["kind"])]


def jumps_of_hours_change_nothing() -> Figures:
    """Five hours ahead, five back, twice, while results flow: no frame, no interval, no process is lost."""
    before = (shown("MainPID"), process("inferd-worker"), shown("NRestarts"))
    broker.mark()
    for by_s in (HOURS_S, -HOURS_S, -HOURS_S, HOURS_S):
        run("date", "--set", f"@{time.time() + by_s:.0f}")
        time.sleep(6)
    results = [body["frame"] for _, body in broker.results()]
    steps = {after - frame for frame, after in pairwise(results)}
    intervals = [body["interval_s"] for _, body in broker.heard("/metrics")]
    uptimes = [body["uptime_s"] for _, body in broker.heard("/metrics")]
    jumps = [body["data"]["by_s"] for _, body in broker.heard("/event") if body["kind"] == "clock.set"]
    dropped = [body["pipelines"]["digits"]["frames_dropped"] for _, body in broker.heard("/metrics")]
    assert (shown("MainPID"), process("inferd-worker"), shown("NRestarts")) == before
    assert len(jumps) == 4, jumps
    assert all(0 < interval_s < 10 for interval_s in intervals), intervals
    assert all(0 < after - uptime_s < 10 for uptime_s, after in pairwise(uptimes)), uptimes
    return {
        "jumps_s": jumps,
        "intervals_s": intervals,
        "results": len(results),
        "steps": sorted(steps),
        "dropped": dropped[-1:],
    }


def the_memory_cgroup_is_off_and_doctor_says_so() -> Figures:
    """Or what follows would prove nothing."""
    controllers = Path("/sys/fs/cgroup/cgroup.controllers").read_text().split()
    assert "memory" not in controllers, controllers
    report = subprocess.run(
        ["/opt/inferd/bin/inferd", "doctor", "--json", "--within", "120"], capture_output=True, text=True, check=False
    )
    findings = {one["id"]: one for one in json.loads(report.stdout)["findings"]}
    assert "system.memory-group" in findings, sorted(findings)
    return {"controllers": controllers, "finding": findings["system.memory-group"]}


def the_kernel_would_kill_the_worker_before_control() -> Figures:
    """The order in which the kernel would choose, from first to last."""
    names = {"inferd-worker": "worker", "inferd-forksrv": "seed"}
    scores = {told: int(Path(f"/proc/{process(name)}/oom_score_adj").read_text()) for name, told in names.items()}
    scores["control"] = int(Path(f"/proc/{shown('MainPID')}/oom_score_adj").read_text())
    assert scores["worker"] > scores["control"], scores
    return scores


def a_memory_hog_on_trial_is_stopped_by_inferd_itself() -> Figures:
    """PSS is watched: the worker is replaced by name at its limit, the model before serves, the kernel kills nobody."""
    a_model_has_proved_itself(broker, LIMIT_MB)
    control = shown("MainPID")
    broker.mark()
    drop("hog", HOG)
    took_s, told = broker.wait("/event", lambda body: body["kind"] == "worker.grown", PATIENT_S)
    broker.wait("/event", lambda body: body["kind"] == "model.rolled_back", PATIENT_S)
    tight = [body["message"] for _, body in broker.heard("/event") if body["kind"] == "worker.tight"]
    back = {name: broker.back(PATIENT_S, name) for name in ("newest", "digits")}
    assert shown("MainPID") == control
    assert "oom_kill 0\n" in Path("/proc/vmstat").read_text()
    return {"stopped_s": took_s, "why": told["message"], "tight": tight, "back_s": back}


CHECKS = [
    it_starts_in_1970,
    the_time_comes,
    jumps_of_hours_change_nothing,
    the_memory_cgroup_is_off_and_doctor_says_so,
    the_kernel_would_kill_the_worker_before_control,
    a_memory_hog_on_trial_is_stopped_by_inferd_itself,
]

if __name__ == "__main__":
    sys.exit(check_all("bare", CHECKS))
