"""Ctrl-C ends every command at once: no traceback, no child left behind, and an exit code that says so."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from fixtures.agents.agent import environment, wait_for
from fixtures.network.broker import free_port
from inferd.bundled_files import bundled

INTERRUPTED = 130
CLIP = str(bundled("digits") / "clip.avi")
DIGITS = str(bundled("digits"))
LONG = {
    "infer": ["infer", DIGITS, *[CLIP] * 200],
    "vet": ["vet", DIGITS, "--against", DIGITS],
    "models show": ["models", "show", DIGITS],
    "models get": ["models", "get", "https://192.0.2.1/x.tflite", "--sha256", "0" * 64, "--into", "{folder}/drop"],
    "watch": ["watch", "--plain", "--broker", "mqtt://127.0.0.1:{port}"],
    "ask": ["ask", "kitchen", "ping", "--broker", "mqtt://127.0.0.1:{port}", "--timeout", "60"],
    "doctor": ["doctor", "--within", "30", "--config", "{folder}/inferd.toml"],
    "support-bundle": ["support-bundle", "--output", "{folder}/bundle.tar.gz", "--config", "{folder}/inferd.toml"],
    "selftest": ["selftest", "--seconds", "60", "--output", "{folder}/report"],
    "run": ["run", "--config", "{folder}/inferd.toml"],
    "demo": ["demo", "--plain", "--port", "{port}"],
    "init": ["init", "{folder}/new.toml"],
}
ENDS_WELL = {"run", "demo"}  # which are meant to be ended so


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.3, 1.5, 4.0])
@pytest.mark.parametrize("command", LONG)
def test_an_interrupt_ends_a_command_without_a_traceback(command: str, after_s: float, tmp_path: Path) -> None:
    (tmp_path / "inferd.toml").write_text(f'state_dir = "{tmp_path}/state"\n[mqtt]\nenabled = false\n')
    arguments = [one.format(folder=tmp_path, port=free_port()) for one in LONG[command]]
    with (tmp_path / "said").open("wb") as said:
        running = subprocess.Popen(
            [sys.executable, "-m", "inferd", *arguments],
            stdout=said,
            stderr=said,
            env=environment() | {"HOME": str(tmp_path)},
            cwd=tmp_path,
            start_new_session=True,
        )
        time.sleep(after_s)
        os.killpg(running.pid, signal.SIGINT)  # a terminal sends it to all processes of the foreground
        try:
            code = running.wait(10)
        finally:
            group = [one for one in psutil.process_iter(["pid"]) if _group(one.pid) == running.pid]
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
    text = (tmp_path / "said").read_text(errors="replace")
    assert "Traceback" not in text, text
    assert code in (
        (0, INTERRUPTED, -signal.SIGINT) if command in ENDS_WELL else (0, 1, INTERRUPTED, -signal.SIGINT)
    ), text
    assert wait_for(lambda: not any(one.is_running() for one in group), 5), group


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return 0
