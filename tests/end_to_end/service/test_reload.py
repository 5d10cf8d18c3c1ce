"""A reload of the real program: what stays as it is loses no frame."""

from __future__ import annotations

import signal
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

from fixtures.agents.agent import Program, program

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
