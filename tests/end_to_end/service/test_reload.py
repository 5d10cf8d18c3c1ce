"""A reload of the real program: what stays as it is loses no frame."""

from __future__ import annotations

import math
import os
import signal
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from fixtures.agents.agent import Program, Whole, program, run_whole
from fixtures.agents.fake_pipeline import fake, pipeline
from inferd.config import settings

HEAD = "[mqtt]\nenabled = false\n"
PIPELINE = """
[[pipeline]]
name = "{name}"
model = "fake"
source = {{kind = "synthetic", width = {width}, height = 48}}
pace = {{mode = "fast"}}
report = {{max_per_s = 0}}
engine = {{kind = "fake", fake = {{load_ms = 500, invoke_ms = 40}}}}
"""
MOST_READ = 200


def config(*names: str, width: int = 64) -> str:
    """Return a configuration in which all these pipelines share an engine; the last has pictures of this width."""
    widths = dict.fromkeys(names, 64) | {names[-1]: width}
    return HEAD + "".join(PIPELINE.format(name=name, width=widths[name]) for name in names)


class Heard:
    """The frames of each pipeline whose results were printed."""

    def __init__(self, running: Program, folder: Path) -> None:
        self._running = running
        self._file = folder / "inferd.toml"
        self.frames: dict[str, list[int]] = defaultdict(list)

    def until(self, name: str, times: int) -> None:
        """Listen until a pipeline gave so many more results."""
        wanted = len(self.frames[name]) + times
        for _ in range(MOST_READ):
            if len(self.frames[name]) >= wanted:
                return
            result = self._running.result()
            self.frames[result["pipeline"]].append(result["frame"])

    def reload(self, changed: str) -> None:
        """Have another configuration used."""
        state_dir = self._file.read_text().partition("\n")[0]
        self._file.write_text(f"{state_dir}\n{changed}")
        self._running.process.send_signal(signal.SIGHUP)


def follow_each_other(frames: list[int]) -> bool:
    """Whether no frame is missing, and none came twice."""
    return all(after == before + 1 for before, after in pairwise(frames))


def test_a_pipeline_that_joins_an_engine_costs_its_siblings_no_frame(tmp_path: Path) -> None:
    with program(tmp_path, config("a", "b")) as running:
        heard = Heard(running, tmp_path)
        heard.until("a", 5)
        heard.reload(config("a", "b", "c"))
        heard.until("c", 5)
    assert follow_each_other(heard.frames["a"])
    assert follow_each_other(heard.frames["b"])
    assert heard.frames["c"][0] < heard.frames["a"][-1]


def test_a_pipeline_that_leaves_an_engine_costs_its_siblings_no_frame(tmp_path: Path) -> None:
    with program(tmp_path, config("a", "b")) as running:
        heard = Heard(running, tmp_path)
        heard.until("a", 5)
        heard.reload(config("a"))
        heard.until("a", 15)
        left = len(heard.frames["b"])
        heard.until("a", 5)
    assert follow_each_other(heard.frames["a"])
    assert len(heard.frames["b"]) == left


def test_a_pipeline_that_changes_begins_anew_and_its_siblings_do_not(tmp_path: Path) -> None:
    with program(tmp_path, config("a", "b")) as running:
        heard = Heard(running, tmp_path)
        heard.until("b", 5)
        heard.reload(config("a", "b", width=32))
        heard.until("a", 15)
        heard.until("b", 5)
    assert follow_each_other(heard.frames["a"])
    assert not follow_each_other(heard.frames["b"])


def test_a_reload_without_a_change_costs_nobody_a_frame(tmp_path: Path) -> None:
    with program(tmp_path, config("a", "b")) as running:
        heard = Heard(running, tmp_path)
        heard.until("a", 5)
        heard.reload(config("a", "b"))
        heard.until("a", 10)
    assert follow_each_other(heard.frames["a"])
    assert follow_each_other(heard.frames["b"])


def test_a_storm_of_reloads_leaves_no_traceback_and_the_agent_running(tmp_path: Path) -> None:
    with program(tmp_path, config("a")) as running:
        heard = Heard(running, tmp_path)
        heard.until("a", 5)
        for _ in range(2000):
            running.process.send_signal(signal.SIGHUP)
        heard.until("a", 15)
        log = running.log()
        running.process.send_signal(signal.SIGTERM)
        for _ in range(2000):
            if running.process.poll() is not None:
                break
            running.process.send_signal(signal.SIGHUP)
        assert running.process.wait(10) == 0
    assert follow_each_other(heard.frames["a"])
    assert "Traceback" not in running.log()
    assert "Exception ignored" not in running.log()
    assert 1 <= log.count("configuration reloaded") < 30


CAMERAS = tuple(pipeline(name, engine=fake(), pace=settings.Pace(mode="fixed", fps=20.0)) for name in ("cam", "door"))
UNTIMED = settings.Config(pipeline=CAMERAS[:1], watch=settings.Watch(deadline_s=math.inf))
UNREADABLE = msgspec.structs.replace(CAMERAS[0], overrides=object())


def unforeseen() -> settings.Config:
    """Fail as no reader of a configuration should."""
    raise KeyError("x")


@pytest.mark.parametrize(
    ("read", "fault"),
    [(lambda: UNTIMED, "OverflowError"), (lambda: (UNREADABLE,), "TypeError"), (unforeseen, "KeyError")],
    ids=["a deadline", "a pipeline", "the reader"],
)
def test_a_configuration_that_cannot_be_applied_leaves_the_old_one_in_use(
    tmp_path: Path, read: Callable[[], settings.Config], fault: str
) -> None:
    whole = run_whole(tmp_path, *CAMERAS, reread=read, until=Reloading(), patience_s=20.0)
    (refused,) = [event["message"] for event in whole.bodies("event") if event["kind"] == "config.refused"]
    assert fault in refused
    assert whole.bodies("door/status")[-1]["status"] == "running"
    assert whole.link.payloads("door/status")[-1] != b""
    assert whole.events().count("worker.started") == 1
    assert "config.reloaded" not in whole.events()


class Reloading:
    """Reloads once results come, and is true once more results of all pipelines came after the reload was refused."""

    def __init__(self) -> None:
        self._sent = False
        self._results: dict[str, int] = {}

    def __call__(self, whole: Whole) -> bool:
        results = {name: len(whole.link.payloads(f"{name}/result")) for name in ("cam", "door")}
        if min(results.values()) > 5 and not self._sent:
            self._sent = True
            os.kill(os.getpid(), signal.SIGHUP)
        if "config.refused" in whole.events() and not self._results:
            self._results = results
        return bool(self._results) and all(results[name] > self._results[name] + 5 for name in results)
