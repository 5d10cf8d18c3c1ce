"""The local socket of a real agent: results without a broker, pipelines that sleep, slow clients that cost nothing."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

from fixtures.agents.agent import environment, program, wait_for
from inferd.control.commands.local_client import ask
from inferd.control.commands.local_socket import NAME, short_path

PIPELINE = """
[[pipeline]]
name = "{name}"
model = "fake"
source = {{kind = "synthetic", width = 64, height = 48}}
pace = {{mode = "fixed", fps = 30}}
report = {{max_per_s = 0}}
engine = {{kind = "fake"}}
"""
CAM = "[mqtt]\nenabled = false\n" + PIPELINE.format(name="cam")
EXAMPLE = Path(__file__).parents[3] / "docs" / "local-socket.md"


def status(folder: Path, pipeline: str = "cam") -> tuple[str, str]:
    """Return a pipeline's state, and why."""
    told = json.loads(ask(folder / "state", "status"))["pipelines"][pipeline]["status"]
    return told["status"], told["why"]


def test_the_example_of_the_documentation_prints_results(tmp_path: Path) -> None:
    found = re.search(r"```python\n(.*?)```", EXAMPLE.read_text(), re.DOTALL)
    assert found is not None
    code = found[1].replace("/run/inferd/view.sock", "control.sock")
    assert len(code.strip().splitlines()) <= 10
    with program(tmp_path, CAM) as running:
        running.result()
        client = subprocess.Popen(
            [sys.executable, "-u", "-c", code], stdout=subprocess.PIPE, text=True, cwd=tmp_path / "state"
        )
        assert client.stdout is not None
        client.stdout.readline()
        assert client.stdout.readline().startswith("cam [{")
        client.kill()
        client.communicate()


def test_results_of_the_command_are_those_of_the_broker(tmp_path: Path) -> None:
    with program(tmp_path, CAM) as running:
        running.result()
        command = [
            sys.executable,
            "-m",
            "inferd",
            "results",
            "cam",
            "--json",
            "--config",
            str(tmp_path / "inferd.toml"),
        ]
        client = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment())
        assert client.stdout is not None
        told = json.loads(client.stdout.readline())
        assert told["pipeline"] == "cam"
        while running.result()["frame"] != told["frame"]:
            pass
        client.kill()
        client.communicate()


def test_results_stay_on_the_device_where_its_line_is_metered_but_are_there(tmp_path: Path) -> None:
    with program(tmp_path, CAM + "[metrics]\nmetered = true\n"):
        assert wait_for(lambda: (tmp_path / "state" / NAME).exists() and status(tmp_path)[0] == "running")
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            with short_path(tmp_path / "state", NAME) as path:
                client.connect(path)
            client.send(b'{"verb": "results"}')
            client.recv(1000)
            assert json.loads(client.recv(70_000))["pipeline"] == "cam"


def test_a_subscriber_that_never_reads_costs_the_agent_nothing(tmp_path: Path) -> None:
    with program(tmp_path, CAM) as running:
        running.result()
        clients = []
        for verb in [b'{"verb": "results"}', b'{"verb": "frames"}', b'{"verb": "snapshot"}'] * 5:
            client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with short_path(tmp_path / "state", NAME) as path:
                client.connect(path)
            client.send(verb)
            clients.append(client)
        before = running.result()["frame"]
        assert wait_for(lambda: running.result()["frame"] > before + 60)
        assert status(tmp_path)[0] == "running"
        for client in clients:
            client.close()


def test_a_pipeline_that_is_put_to_sleep_gives_no_results_and_its_engine_is_freed(tmp_path: Path) -> None:
    with program(tmp_path, CAM + PIPELINE.format(name="door").replace('"fake"\nsource', '"other"\nsource')) as running:
        assert wait_for(lambda: running.result()["pipeline"] == "cam")
        ask(tmp_path / "state", "pipeline/sleep", {"pipeline": "cam"})
        assert wait_for(lambda: status(tmp_path)[0] == "sleeping")
        assert "pipeline/wake" in status(tmp_path)[1]
        for _ in range(20):
            running.result()  # what was under way
        assert {running.result()["pipeline"] for _ in range(30)} == {"door"}
        assert status(tmp_path)[0] == "sleeping"
        ask(tmp_path / "state", "pipeline/wake", {"pipeline": "cam"})
        assert wait_for(lambda: running.result()["pipeline"] == "cam")
        assert wait_for(lambda: status(tmp_path)[0] == "running")


def test_a_pipeline_outside_its_schedule_sleeps_from_the_start(tmp_path: Path) -> None:
    door = PIPELINE.format(name="door").replace("engine =", 'schedule = [{begins = "03:00", ends = "03:01"}]\nengine =')
    config = CAM + door
    with program(tmp_path, config) as running:
        running.result()
        assert wait_for(lambda: status(tmp_path, "door")[0] == "sleeping")
        assert {running.result()["pipeline"] for _ in range(30)} == {"cam"}


def test_a_label_is_appended_to_the_log_and_does_nothing_else(tmp_path: Path) -> None:
    with program(tmp_path, CAM) as running:
        result = running.result()
        said = {"pipeline": "cam", "label": "cat", "boot_id": "b" * 12, "seq": 7}
        ask(tmp_path / "state", "label", said)
        (line,) = (tmp_path / "state" / "labels.jsonl").read_text().splitlines()
        assert json.loads(line)["said"] == {"sample": "", "track": 0, **said}
        assert running.result()["frame"] > result["frame"]
