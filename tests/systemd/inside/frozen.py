"""Runs inside an emulated PC: says what systemd knows of a watchdog, then freezes PID 1. What comes after, the host sees."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from common import OUT, run

STILL_S = 60.0  # four times what the watchdog waits
DEVICE = Path("/sys/class/watchdog/watchdog0")


def tell(**facts: object) -> None:
    """Have the host read this, whatever happens next."""
    with (OUT / "frozen.json").open("w") as file:
        file.write(json.dumps(facts))
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    told = {name: (DEVICE / name).read_text().strip() for name in ("identity", "timeout", "state") if DEVICE.exists()}
    told["systemd"] = run("systemctl", "show", "--property=RuntimeWatchdogUSec", "--value").strip()
    tell(**told, at=time.monotonic())
    Path("/sys/fs/cgroup/init.scope/cgroup.freeze").write_text("1")
    time.sleep(STILL_S)
    tell(**told, still_there_s=STILL_S)
    Path("/proc/sysrq-trigger").write_text("o")  # power off: nobody else can any more
    time.sleep(STILL_S)
