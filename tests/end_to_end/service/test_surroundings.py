"""The real program in surroundings that are against it: names, rights, limits, other agents, a slow control."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from fixtures.agents.agent import environment, program, run_whole, wait_for
from fixtures.agents.fake_pipeline import fake, pipeline
from fixtures.network.broker import Listener, Mosquitto, eventually
from fixtures.paths import PROJECT
from inferd.config import settings
from inferd.config.load import load
from inferd.errors import ConfigError

FAKE = """
[mqtt]
enabled = false
[[pipeline]]
name = "cam"
model = "fake"
source = {kind = "%s", %s}
pace = {mode = "fixed", fps = 30, at_end = "loop"}
report = {max_per_s = 0}
engine = {kind = "fake", fake = {}}
"""
SYNTHETIC = FAKE % ("synthetic", "width = 64, height = 48")


def inferd(*arguments: object, **more: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "inferd", *map(str, arguments)]
    keys = {"env": environment(), "capture_output": True, "text": True, "timeout": 50, "check": False, **more}
    return subprocess.run(command, **keys)  # type: ignore[call-overload, no-any-return]  # noqa: PLW1510 - all are in keys


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Return a small real picture."""
    import cv2  # noqa: PLC0415 - only these tests draw
    import numpy as np  # noqa: PLC0415

    file = tmp_path / "picture.png"
    cv2.imwrite(str(file), np.full((32, 32, 3), 127, np.uint8))
    return file


def test_a_picture_whose_name_is_not_utf8_is_inferred_like_any_other(tmp_path: Path, picture: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copy(picture, folder / os.fsdecode(b"b\xff.png"))
    with program(tmp_path, FAKE % ("images", f'path = "{folder}"')) as running:
        assert running.result()["input"].endswith("b\\xff.png")


def test_names_that_are_not_utf8_in_the_drop_folder_are_refused_and_the_agent_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "models"
    for name in (b"f\xfcr.txt", b"m\xfcr.tflite", b"d\xfcr/model.tflite", b"n\x1b[2J.tflite"):
        file = folder / os.fsdecode(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PROJECT / "models" / "digits" / "model.tflite", file)
    drop = f'[models]\nfolder = "{folder}"\nlook_every_s = 0.2\nsettle_s = 0.2\n'
    refused = ("f\\xfcr.txt", "m\\xfcr.tflite", "d\\xfcr has a name", "n\\x1b[2J.tflite")

    def all_are_refused(errors: Path) -> bool:
        return all(one in errors.read_text() for one in refused)

    for _ in range(2):  # the second start reads the state that the first one wrote
        with program(tmp_path, drop + SYNTHETIC) as running:
            assert running.result()
            assert wait_for(partial(all_are_refused, running.errors))
            assert "Traceback" not in running.errors.read_text()


def test_a_name_that_is_too_long_is_a_sentence(tmp_path: Path) -> None:
    done = inferd("infer", PROJECT / "models" / "digits", tmp_path / ("x" * 300 + ".png"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


def test_more_models_than_an_agent_runs_are_refused_by_the_configuration(tmp_path: Path) -> None:
    one = '[[pipeline]]\nname = "p%d"\nmodel = "m%d"\nsource = {kind = "synthetic"}\n'
    file = tmp_path / "inferd.toml"
    file.write_text("".join(one % (number, number) for number in range(33)))
    with pytest.raises(ConfigError, match="names 33 models; one agent runs 32 at the most"):
        load(file, {"HOME": str(tmp_path)})


def test_what_must_arrive_arrives_although_control_did_not_listen(tmp_path: Path) -> None:
    chatty = (
        (SYNTHETIC + "\n")
        .replace("fps = 30, at_end", "fps = 1000, at_end")
        .replace("width = 64, height = 48", "width = 8, height = 8, frames = 4000")
        .replace('at_end = "loop"', 'at_end = "stop"')
    )
    with program(tmp_path, chatty) as running:
        running.result()
        running.process.send_signal(signal.SIGSTOP)
        time.sleep(4)  # the input is through meanwhile, and the channel is full
        running.process.send_signal(signal.SIGCONT)
        assert wait_for(lambda: "cam is ended" in running.log(), 15)


def test_a_first_frame_that_takes_longer_than_the_deadline_is_slow_not_hung(tmp_path: Path) -> None:
    slow = pipeline(
        source=settings.SyntheticSource(width=8, height=8, frames=1),
        pace=settings.Pace(mode="fast"),
        engine=fake(invoke_ms=1600),
    )
    whole = run_whole(tmp_path, slow, deadline_s=1.0)
    assert len(whole.bodies("cam/result")) == 1
    assert "worker.hung" not in whole.events()


def test_a_fork_that_the_kernel_refuses_leaves_the_worker_running_and_is_retried(tmp_path: Path) -> None:
    if os.getuid() == 0:
        pytest.skip("root may fork as it likes; run the tests as a user")
    with program(tmp_path, SYNTHETIC) as running:
        running.result()
        fork_server = running.children()["inferd-forksrv"]
        usual, most = resource.prlimit(fork_server, resource.RLIMIT_NPROC)
        resource.prlimit(fork_server, resource.RLIMIT_NPROC, (1, most))
        file = tmp_path / "inferd.toml"
        file.write_text(file.read_text().replace('model = "fake"', 'model = "other"'))
        running.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: "the kernel refuses another process" in running.log())
        assert "inferd-worker" in running.children()
        resource.prlimit(fork_server, resource.RLIMIT_NPROC, (usual, most))
        assert wait_for(lambda: "model active: other" in running.log(), 30)


def test_a_fork_server_that_is_killed_is_named_and_its_worker_is_not_called_unkillable(tmp_path: Path) -> None:
    with program(tmp_path, SYNTHETIC) as running:
        running.result()
        os.kill(running.children()["inferd-forksrv"], signal.SIGKILL)
        assert wait_for(lambda: "fork server: it was killed by SIGKILL" in running.log())
        assert wait_for(lambda: running.result()["frame"] == 0)
        assert "does not let it go" not in running.log()


def test_a_runtime_that_kills_its_process_at_import_is_told_and_not_tried_in_a_busy_loop(tmp_path: Path) -> None:
    broken = tmp_path / "broken" / "ai_edge_litert"
    broken.mkdir(parents=True)
    (broken / "__init__.py").touch()
    (broken / "interpreter.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)\n")
    path = os.pathsep.join([str(broken.parent), environment()["PYTHONPATH"]])
    file = tmp_path / "inferd.toml"
    file.write_text(f'state_dir = "{tmp_path}/state"\n{SYNTHETIC}')
    command = [sys.executable, "-m", "inferd", "run", "--config", str(file)]
    with (tmp_path / "log").open("w") as log:
        agent = subprocess.Popen(command, env=environment(PYTHONPATH=path), stderr=log)
        try:
            told = "was killed by SIGILL before its imports were done"
            assert wait_for(lambda: told in (tmp_path / "log").read_text(), 15)
            time.sleep(3)
            assert (tmp_path / "log").read_text().count("ERROR seed:") <= 5
        finally:
            agent.terminate()
            agent.wait(10)


def test_drawn_pictures_never_replace_an_input_or_each_other(tmp_path: Path, picture: Path) -> None:
    model = PROJECT / "models" / "digits"
    refused = inferd("infer", model, picture, "--draw", picture.parent)
    assert refused.returncode == 2
    assert "might be replaced" in refused.stderr
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(picture, other)
    drawn = tmp_path / "drawn"
    assert inferd("infer", model, picture, other / picture.name, "--draw", drawn).returncode == 0
    assert sorted(file.name for file in drawn.iterdir()) == ["picture-2.png", "picture.png"]


def test_a_second_agent_on_the_same_state_is_refused(tmp_path: Path) -> None:
    with program(tmp_path, SYNTHETIC) as running:
        running.result()
        done = inferd("run", "--config", tmp_path / "inferd.toml")
        assert done.returncode == 1
        assert "another inferd keeps its state here" in done.stderr


def test_a_second_agent_on_the_same_state_touches_neither_broker_nor_state(
    tmp_path: Path, mosquitto: Mosquitto
) -> None:
    listener = Listener(mosquitto.port)
    config = f'device = "test"\n[mqtt]\nport = {mosquitto.port}\n' + SYNTHETIC.replace("[mqtt]\nenabled = false", "")
    with program(tmp_path, config) as running:
        running.result()
        eventually(lambda: listener.payloads("inferd/test/status") == [b"online"], "the device")
        before = {file: file.stat().st_ino for file in (tmp_path / "state").rglob("*.json")}
        done = inferd("run", "--config", tmp_path / "inferd.toml")
        assert done.returncode == 1
        assert "another inferd keeps its state here" in done.stderr
        assert {file: file.stat().st_ino for file in (tmp_path / "state").rglob("*.json")} == before
        assert "mqtt disconnected" not in running.log()
        assert listener.payloads("inferd/test/status") == [b"online"]
    listener.close()


def test_a_closed_standard_output_is_no_traceback(tmp_path: Path) -> None:
    file = tmp_path / "inferd.toml"
    finite = SYNTHETIC.replace("height = 48", "height = 48, frames = 3").replace('at_end = "loop"', 'at_end = "stop"')
    file.write_text(f'state_dir = "{tmp_path}/state"\n{finite}')
    line = f"exec {sys.executable} -m inferd run --print --until-end --config {file} >&-"
    done = subprocess.run(
        ["sh", "-c", line], env=environment(), stderr=subprocess.PIPE, text=True, check=False, timeout=50
    )
    assert done.returncode == 0
    assert "Traceback" not in done.stderr


def test_without_a_home_state_is_kept_nowhere_that_others_may_write(tmp_path: Path) -> None:
    from inferd.config.load import state_dir  # noqa: PLC0415 - beside what it is about

    if os.getuid() == 0:
        assert state_dir(settings.Config(), {}) == Path("/var/lib/inferd")
    else:
        with pytest.raises(ConfigError, match="no HOME"):
            state_dir(settings.Config(), {})
    assert state_dir(settings.Config(state_dir=str(tmp_path)), {}) == tmp_path


def test_a_reload_says_what_takes_effect_only_at_the_next_start(tmp_path: Path) -> None:
    with program(tmp_path, SYNTHETIC) as running:
        running.result()
        file = tmp_path / "inferd.toml"
        file.write_text(file.read_text().replace("enabled = false", "enabled = false\nprefix = 'site'\nport = 1884"))
        running.process.send_signal(signal.SIGHUP)
        assert wait_for(lambda: "; mqtt.prefix changed too, which takes effect at the next start" in running.log())
