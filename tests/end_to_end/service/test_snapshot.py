"""`inferd snapshot` against a real agent: the frame crosses from the worker to the terminal."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from fixtures.agents.agent import environment, program, wait_for
from inferd.records import Array

PIPELINE = """
[[pipeline]]
name = "{name}"
model = "fake"
source = {{kind = "synthetic", width = 64, height = 48}}
pace = {{mode = "fixed", fps = 30}}
report = {{max_per_s = 0}}
engine = {{kind = "fake"}}
"""
HEAD = "[mqtt]\nenabled = false\n"
CAM = HEAD + PIPELINE.format(name="cam")


def snapshot(folder: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-m",
        "inferd",
        "snapshot",
        "--config",
        str(folder / "inferd.toml"),
        *map(str, arguments),
    ]
    return subprocess.run(
        command, env=environment(), capture_output=True, text=True, timeout=10, check=False, cwd=folder
    )


def picture(file: Path) -> Array:
    read = cv2.imread(str(file))
    assert read is not None
    return read


def test_a_snapshot_is_a_frame_of_the_running_agent_with_what_was_found_in_it(tmp_path: Path) -> None:
    with program(tmp_path, CAM) as running:
        running.result()
        done = snapshot(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "frame" in done.stdout
    assert "0.900  class 1" in done.stdout
    assert picture(tmp_path / "cam.png").shape == (48, 64, 3)


def test_a_drawn_snapshot_has_more_on_it(tmp_path: Path) -> None:
    with program(tmp_path, CAM) as running:
        running.result()
        done = snapshot(tmp_path, "cam", "--draw", "--output", tmp_path / "drawn.png")
    assert done.returncode == 0, done.stderr
    drawn = picture(tmp_path / "drawn.png")
    assert np.mean(drawn[:6]) < np.mean(drawn[-6:])  # the banner darkens the top


def test_inference_goes_on_while_somebody_looks(tmp_path: Path) -> None:
    with program(tmp_path, CAM) as running:
        running.result()
        before = running.result()["frame"]
        snapshot(tmp_path)
        assert wait_for(lambda: running.result()["frame"] > before + 5)


def test_with_two_pipelines_one_must_be_named(tmp_path: Path) -> None:
    with program(tmp_path, HEAD + PIPELINE.format(name="a") + PIPELINE.format(name="b")) as running:
        running.result()
        done = snapshot(tmp_path)
    assert done.returncode == 1
    assert done.stderr == "inferd: pipeline: name one of its pipelines: a, b\n"


def test_without_an_agent_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "inferd.toml").write_text(f'state_dir = "{tmp_path}/state"\n{CAM}')
    done = snapshot(tmp_path)
    assert done.returncode == 1
    assert "no agent runs there" in done.stderr


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_an_agent_starts_again_over_the_socket_of_a_dead_one(tmp_path: Path, how: str) -> None:
    with program(tmp_path, CAM) as running:
        running.result()
        getattr(running.process, how)()
        running.process.wait(10)
    with program(tmp_path, CAM) as running:
        running.result()
        assert snapshot(tmp_path).returncode == 0


def test_the_socket_is_its_users_alone(tmp_path: Path) -> None:
    with program(tmp_path, CAM) as running:
        running.result()
        assert (tmp_path / "state" / "control.sock").stat().st_mode & 0o777 == 0o600
