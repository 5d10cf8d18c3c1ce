"""Runs inside a booted container, by the system's own Python: what the checks there have in common."""

# ruff: noqa: T201 - what is printed is the report

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Figures = dict[str, Any]  # Any: what a check measured, as JSON
OUT = Path("/out")
HEARD = OUT / "heard.txt"
CONFIG_D = Path("/etc/inferd/inferd.d")


def run(*command: str, timeout_s: float = 120.0) -> str:
    """Run a program that has to succeed; return what it wrote."""
    ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    assert ended.returncode == 0, f"{command}: {ended.returncode}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def shown(name: str) -> str:
    """Return a property of the service."""
    return run("systemctl", "show", "inferd", "-P", name).strip()


def until(what: str, true: Callable[[], object], limit_s: float) -> float:
    """Wait until something is true; return how long that took in seconds."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < limit_s, f"{what}: not within {limit_s} s"
        time.sleep(0.02)
    return round(time.monotonic() - started, 2)


def timed(*command: str) -> float:
    """Return how long a program ran, in seconds."""
    started = time.monotonic()
    run(*command)
    return round(time.monotonic() - started, 2)


def process(name: str) -> int:
    """Return the number of the newest process of this name, 0 where there is none."""
    found = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _comm(entry) == name]
    return max(found, default=0)


def _comm(entry: Path) -> str:
    try:
        return (entry / "comm").read_text().strip()
    except OSError:
        return ""


class Broker:
    """Everything that the broker inside was told, with the time at which a subscriber heard it."""

    def __init__(self) -> None:
        with HEARD.open("wb") as out:
            command = ["mosquitto_sub", "-F", "%U\t%t\t%p", "-t", "inferd/#"]
            self._subscriber = subprocess.Popen(command, stdout=out)
        self._read = 0

    def mark(self) -> None:
        """Forget what was heard until now."""
        self._read = HEARD.stat().st_size

    def heard(self, ending: str) -> Iterator[tuple[float, dict[str, Any]]]:
        """Yield (time, message) of each topic with this ending, since the mark."""
        with HEARD.open("rb") as lines:
            lines.seek(self._read)
            for line in lines:
                parts = line.decode().split("\t", 2)
                if line.endswith(b"\n") and len(parts) == 3 and parts[1].endswith(ending) and parts[2].strip():
                    yield (
                        float(parts[0]),
                        json.loads(parts[2]) if parts[2].startswith("{") else {"text": parts[2].strip()},
                    )

    def wait(
        self, ending: str, fits: Callable[[dict[str, Any]], object], limit_s: float
    ) -> tuple[float, dict[str, Any]]:
        """Wait for a message since the mark; return it with how long it took in seconds."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [body for _, body in self.heard(ending) if fits(body)]
            return bool(found)

        took_s = until(f"a message at {ending}", there, limit_s)
        return took_s, found[0]

    def results(self, pipeline: str = "digits") -> list[tuple[float, dict[str, Any]]]:
        """Return the results since the mark."""
        return list(self.heard(f"/{pipeline}/result"))

    def recovered(self, since: float, kind: str, limit_s: float, pipeline: str = "digits") -> float:
        """Wait for the first event of this kind after `since` and the first result after that; return its time after `since`."""

        def started() -> list[float]:
            return [at for at, body in self.heard("/event") if body["kind"] == kind and at > since]

        until(f"{kind} after the fault", started, limit_s)
        until("a result after it", lambda: any(at > started()[0] for at, _ in self.results(pipeline)), limit_s)
        return round(next(at for at, _ in self.results(pipeline) if at > started()[0]) - since, 2)

    def back(self, limit_s: float, pipeline: str = "digits") -> float:
        """Wait for the next result; return how long that took in seconds."""
        self.mark()
        return until("the next result", lambda: self.results(pipeline), limit_s)


def configure(name: str, text: str | None) -> None:
    """Write a file of configuration, or remove it, and have it read."""
    CONFIG_D.mkdir(exist_ok=True)
    file = CONFIG_D / f"{name}.toml"
    file.unlink(missing_ok=True)
    if text is not None:
        file.write_text(text)
    run("systemctl", "reload", "inferd")


def kill(pid: int, number: int = signal.SIGKILL) -> None:
    """Send a signal to a process that has to be there."""
    assert pid, "there is no such process"
    os.kill(pid, number)


def left_behind() -> list[str]:
    """Return files and folders of inferd's that are still there, and its account."""
    found = run("find", "/", "-xdev", "-name", "*inferd*", "-not", "-path", "/proc/*", "-not", "-path", "/sys/*",
                "-not", "-path", "/var/log/*", "-not", "-path", "/in/*", "-not", "-path", "/out/*",
                "-not", "-path", "/venv/*", "-not", "-path", "/home/*").split()  # fmt: skip
    account = subprocess.run(["getent", "passwd", "inferd"], capture_output=True, text=True, check=False).stdout.split()
    group = subprocess.run(["getent", "group", "inferd", "gpio", "i2c"], capture_output=True, text=True, check=False)
    running = ["/run/inferd"] if Path("/run/inferd").exists() else []
    return sorted(found) + running + account + group.stdout.split()


def check_all(name: str, checks: list[Callable[[], Figures]]) -> int:
    """Run all checks, write what each measured or why it failed, and return 0 if all held."""
    report: dict[str, Figures] = {}
    for check in checks:
        started = time.monotonic()
        print(f"{check.__name__} ...", flush=True)
        try:
            report[check.__name__] = {"held": True, **check()}
        except Exception as exc:  # noqa: BLE001 - one check that fails must not keep the others from being made
            traceback.print_exc()
            report[check.__name__] = {"held": False, "why": str(exc)[:500]}
        report[check.__name__]["check_s"] = round(time.monotonic() - started, 1)
        print(report[check.__name__], flush=True)
        (OUT / f"{name}.json").write_text(json.dumps(report, indent=1))
    return int(not all(figures["held"] for figures in report.values()))
