"""Sources that misbehave, in the real program: a named state, opened again, and the other pipeline none the wiser."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from fixtures.agents.agent import Program, Whole, alive, children, program, run_whole, wait_for
from fixtures.agents.fake_pipeline import pipeline
from fixtures.campaigns.hostile_cameras import KINDS, attack
from fixtures.network.cameras import HEADER, RtspServer, camera, films, jpegs, part, printing, rtsp_server, says, shows
from inferd.config import settings
from inferd.wire.manifest import QualitySection

WELL = """
[mqtt]
enabled = false
[[pipeline]]
name = "well"
model = "fake"
source = {kind = "synthetic", width = 64, height = 48}
pace = {mode = "fixed", fps = 30}
report = {max_per_s = 0}
engine = {kind = "fake"}
[[pipeline]]
name = "ill"
model = "fake ill"
report = {max_per_s = 0}
engine = {kind = "fake"}
"""
FLICKERING = printing("import os; [out(bytes(64 * 48 * 3)) or sleep(0.02) for _ in range(3)]; os.abort()")


def ill(**source: object) -> str:
    """Return a configuration of a well pipeline and one with this source."""
    keys = [f"{name} = {json.dumps(value)}" for name, value in source.items()]  # plain values read the same in TOML
    return "\n".join([WELL, "[pipeline.source]", *keys])


def results_of(running: Program, name: str, count: int) -> list[dict[str, Any]]:
    """Return the next results of a pipeline; each of the well one's must follow the one before, or come of the same worker."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        result = running.result()
        found += [result] if result["pipeline"] == name else []
    return found


def undisturbed(running: Program, count: int = 60) -> bool:
    """Whether the well pipeline's frames go on in their order, and hardly any is left out."""
    return gapless([result["frame"] for result in results_of(running, "well", count)])


def gapless(numbers: list[int]) -> bool:
    """Whether these rise, and nine of ten are there: a machine that is busy with other things loses one now and then."""
    return numbers == sorted(set(numbers)) and len(numbers) >= 0.9 * (numbers[-1] - numbers[0] + 1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("err('no camera at port 0'); sys.exit(5)", "no camera at port 0"),
        ("out(b'usage: camera [-h]'); sys.exit(2)", "it wrote 'usage: camera [-h]' and no whole frame"),
        ("import os; os.abort()", "was killed by SIGABRT"),
        ("sleep(600)", "its source gives nothing"),
    ],
)
def test_a_command_that_gives_nothing_is_a_named_state(tmp_path: Path, text: str, told: str) -> None:
    broken = settings.CommandSource(command=printing(text), format="bgr", width=64, height=48)
    well = pipeline("well", pace=settings.Pace(mode="fixed", fps=30))

    def long_enough(so_far: Whole) -> bool:
        return any(told in state["why"] for state in so_far.bodies("ill/status")) and len(numbers(so_far)) > 60

    whole = run_whole(tmp_path, well, pipeline("ill", source=broken), until=long_enough)
    states = {state["status"] for state in whole.bodies("ill/status") if told in state["why"]}
    assert states == {"waiting"}
    assert gapless(numbers(whole))
    assert "worker.died" not in whole.events()


def numbers(whole: Whole) -> list[int]:
    """Return the numbers of the well pipeline's frames that became results."""
    return [result["frame"] for result in whole.bodies("well/result")]


def test_a_command_that_dies_now_and_then_comes_back_each_time(tmp_path: Path) -> None:
    options = {"kind": "command", "command": list(FLICKERING), "format": "bgr", "width": 64, "height": 48}
    with program(tmp_path, ill(**options)) as running:
        worker = running.children().get("inferd-worker")
        first_frames = [result for result in results_of(running, "ill", 6) if result["frame"] == 0]
        assert len(first_frames) >= 2
        assert worker in (None, running.children()["inferd-worker"])


def test_a_command_dies_with_a_worker_that_is_killed(tmp_path: Path) -> None:
    text = "while True: out(bytes(64 * 48 * 3)); sleep(0.05)"
    options = {"kind": "command", "command": list(printing(text)), "format": "bgr", "width": 64, "height": 48}
    with program(tmp_path, ill(**options)) as running:
        results_of(running, "ill", 1)
        worker = running.children()["inferd-worker"]
        grandchildren = children(worker)
        assert grandchildren
        os.kill(worker, signal.SIGKILL)
        assert wait_for(lambda: not any(map(alive, grandchildren.values())))
        results_of(running, "ill", 3)


def test_a_camera_cut_off_in_a_picture_is_connected_anew(tmp_path: Path) -> None:
    whole = jpegs(2)
    cut = HEADER + part(whole[0]) + part(whole[1])[:400]
    with (
        camera(says(cut), shows(*whole), films()) as shown,
        program(tmp_path, ill(kind="stream", url=shown.url)) as running,
    ):
        seen = [result["frame"] for result in results_of(running, "ill", 12)]
        assert undisturbed(running)
    assert any(after <= before for before, after in pairwise(seen))  # each connection counts its frames anew


def test_hostile_cameras_disturb_no_other_pipeline(tmp_path: Path) -> None:
    figures = attack(tmp_path, cases=len(KINDS), cameras=10, longest_s=60.0)
    assert figures.cases == len(KINDS)
    assert not figures.worker_replaced
    assert figures.lost <= 0.05 * figures.frames
    assert figures.peak_mb < 400


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with rtsp_server() as made:
        yield made


@pytest.mark.slow
def test_an_rtsp_server_that_is_stopped_and_goes_on_disturbs_nobody_else(tmp_path: Path, server: RtspServer) -> None:
    options = {"kind": "stream", "url": server.url, "open_timeout_s": 2.0, "read_timeout_s": 2.0}
    with program(tmp_path, ill(**options)) as running:
        results_of(running, "ill", 5)
        worker = running.children()["inferd-worker"]
        server.pause()
        assert wait_for(lambda: (undisturbed(running, 30), ill_waits(running))[1], 20)
        server.go_on()
        results_of(running, "ill", 5)
        assert undisturbed(running)
        assert running.children()["inferd-worker"] == worker


@pytest.mark.slow
def test_the_agent_ends_in_time_while_an_rtsp_server_is_stopped(tmp_path: Path, server: RtspServer) -> None:
    with program(tmp_path, ill(kind="stream", url=server.url)) as running:
        results_of(running, "ill", 5)
        server.pause()
        results_of(running, "well", 30)
        running.process.terminate()
        assert running.process.wait(5) == 0


def ill_waits(running: Program) -> bool:
    """Whether the log tells that the ill pipeline waits."""
    return any("ill" in line and "waiting" in line for line in running.log().splitlines()[-20:])


def test_a_black_picture_is_counted_told_and_kept_from_the_model(tmp_path: Path) -> None:
    text = "for shade in (200, 0, 0, 200, 0): out(bytes([shade]) * 64 * 48 * 3)"
    source = settings.CommandSource(command=printing(text), format="bgr", width=64, height=48, finite=True)
    rules = QualitySection(dark=0.1, sharp=1.0, keep_out=("black",))
    whole = run_whole(tmp_path, pipeline(source=source, pace=settings.Pace(mode="fast"), quality=rules))
    figures = whole.bodies("metrics")[-1]["pipelines"]["cam"]
    assert figures["frames_inferred"] == 2
    assert figures["frames_dropped"]["poor_quality"] == 3
    assert (figures["frames_flawed"]["black"], figures["frames_flawed"]["blurred"]) == (3, 5)
    told = [event["message"] for event in whole.bodies("event") if "black" in event["message"]]
    assert any("mean brightness 0.000 is below 0.1" in message for message in told)
