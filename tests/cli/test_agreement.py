"""`config check`, `doctor` and `run` agree on a configuration: what one refuses, all refuse, with the same sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.agents.agent import environment
from inferd.cli import BAD_CONFIG

WRONG = {
    "a number": b"[watch]\nload_deadline_s = inf",
    "a port": b"[http]\nport = 94640",
    "a table": b'mqtt = "broker"',
    "a key": b"[mqtt]\nhots = 'a'",
    "a host": b"[mqtt]\nhost = 'mqtt://broker'",
    "a device id": b"device = 'a/b'",
    "a prefix": b"[mqtt]\nprefix = 'a//b'",
    "a name": b"[[pipeline]]\nname = 'status'\nsource = { kind = 'synthetic' }",
    "an address": b"[[pipeline]]\nname = 'a'\nsource = { kind = 'stream', url = 'http://[::1/x' }",
    "nesting": b"a = " + b"[" * 3000,
    "no UTF-8": b"device = 'k\xfcche'",
    "no TOML": b"device kitchen",
    "a credential": b"[mqtt]\npassword_file = '$CREDENTIALS_DIRECTORY/x'",
}


def inferd(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferd", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=50, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_wrong_for_run_check_and_doctor(what: str, tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_bytes(WRONG[what])
    ran = inferd("run", "--config", str(file))
    checked = inferd("config", "check", str(file))
    examined = json.loads(inferd("doctor", "--json", "--config", str(file)).stdout)
    assert ran.returncode == BAD_CONFIG, ran.stderr
    assert "Traceback" not in ran.stderr
    if what != "a credential":  # lent to the service only, so that a check outside of it cannot judge it
        assert (checked.returncode, checked.stderr) == (ran.returncode, ran.stderr)
        assert "config.invalid" in {finding["id"] for finding in examined["findings"]}


@pytest.mark.slow
def test_what_is_right_is_right_for_check_and_doctor(tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    file.write_bytes(b"\xef\xbb\xbf[mqtt]\nenabled = false\n")
    assert inferd("config", "check", str(file)).returncode == 0
    examined = json.loads(inferd("doctor", "--json", "--config", str(file)).stdout)
    assert "config.invalid" not in {finding["id"] for finding in examined["findings"]}
