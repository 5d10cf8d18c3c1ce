"""The real agent, as a process of its own: `inferd run` with a configuration made for the demo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from inferd.config.settings import Mqtt
from inferd.errors import WorkerError
from inferd.system.processes.parent_death import BoundProgram

STOP_S = 4.0  # it promises two
LAST_LINES = 12
LAST_BYTES = 8_000
PIECE_BYTES = 65_536
METRICS_INTERVAL_S = 1.0


class DemoAgent:
    """A running agent. Owned by the demo's main thread."""

    def __init__(self, folder: Path, device: str, broker: Mqtt | None) -> None:
        """Start it.

        Args:
            folder: for its configuration, its state and its log.
            device: its id.
            broker: where it speaks; None has it print its results, for `printed`.
        """
        self._log = folder / "agent.log"
        self._unfinished = b""
        config = folder / "inferd.toml"
        config.write_text(configuration(device, folder / "state", broker), encoding="utf-8")
        command = [sys.executable, "-P", "-m", "inferd", "run", "--config", str(config)]
        with self._log.open("wb") as log:
            if broker is None:
                self._process = BoundProgram([*command, "--print"], stdout=subprocess.PIPE, stderr=log)
            else:
                self._process = BoundProgram(command, stdout=log, stderr=log)
        if self._process.stdout is not None:
            os.set_blocking(self._process.stdout.fileno(), False)

    @property
    def pid(self) -> int:
        """The process number of control."""
        return self._process.pid

    def check(self) -> None:
        """See that it runs.

        Raises:
            WorkerError: it ended; the text holds its last words.
        """
        if ended := self._process.ended():
            raise self.failure(ended.sentence)

    def failure(self, what: str) -> WorkerError:
        """Return the error that says what happened, and the agent's last words."""
        last = "".join(f"\n  {line}" for line in self._last_lines())
        return WorkerError("the agent", f"it {what}; its last words:{last}" if last else f"it {what} without a word")

    def printed(self) -> list[bytes]:
        """Return the results that it printed since the last call; never waits."""
        if self._process.stdout is None:
            return []
        piece = self._process.stdout.read(PIECE_BYTES) or b""
        *lines, self._unfinished = (self._unfinished + piece).split(b"\n")
        return lines

    def stop(self) -> bool:
        """End it; return whether it ended by itself in time. Twice is fine."""
        return self._process.stop(STOP_S)

    def _last_lines(self) -> list[str]:
        with self._log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_BYTES))
            return log.read().decode(errors="replace").splitlines()[-LAST_LINES:]


def configuration(device: str, state_dir: Path, broker: Mqtt | None) -> str:
    """Return the agent's configuration as TOML: no pipeline, for the built-in one is the demo.

    Strings are written as JSON, which for strings is TOML.
    """
    mqtt = (
        f"host = {json.dumps(broker.host)}\nport = {broker.port}\nprefix = {json.dumps(broker.prefix)}"
        if broker
        else "enabled = false"
    )
    return (
        f"device = {json.dumps(device)}\nstate_dir = {json.dumps(str(state_dir), ensure_ascii=False)}\n\n"
        f"[mqtt]\n{mqtt}\n\n[metrics]\ninterval_s = {METRICS_INTERVAL_S}\n"
    )
