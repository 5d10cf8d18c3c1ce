"""A copy into the drop folder stalls: nothing false is said of it, and nothing of it serves."""

from __future__ import annotations

import os
import time
from functools import partial
from pathlib import Path

import pytest

from fixtures.agents.agent import wait_for
from fixtures.agents.drop_folder_agent import FOLLOWS_NEWEST, WAIT_S, Dropping, agent
from fixtures.models.tflite_writer import mean_color

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

CONFIG = FOLLOWS_NEWEST.replace('engine = {kind = "fake"}\n', "")
MANIFEST = """
[model]
task = "classify"
[input]
range = [0.0, 1.0]
[output]
labels = ["red", "green", "blue"]
"""


def waits(it: Dropping, times: int) -> bool:
    """Whether the agent has told so often that a model's copy may go on."""
    return it.running.log().count("model waits") == times


def test_a_copy_that_stalls_is_not_refused_and_serves_once_it_is_whole(tmp_path: Path) -> None:
    content = mean_color()
    with agent(tmp_path, fps=30, config=CONFIG) as it:
        (it.folder / "colors.toml").write_text(MANIFEST)
        with (it.folder / "colors.tflite").open("wb", buffering=0) as copy:
            for number, begin in enumerate(range(0, len(content), 250), 1):
                copy.write(content[begin : begin + 250])
                if begin + 250 < len(content):
                    assert wait_for(partial(waits, it, number), WAIT_S)
        it.await_active("colors")
        assert it.lines("model.refused") == []


def test_a_copy_that_never_ends_is_refused_once(tmp_path: Path) -> None:
    with agent(tmp_path, fps=30, config=CONFIG) as it:
        (it.folder / "colors.tflite").write_bytes(mean_color()[:300])
        assert "damaged or incomplete" in it.await_line("model.refused", "colors.tflite").why
        time.sleep(1.0)
        assert len(it.lines("model.refused")) == 1


def test_names_that_are_not_utf8_end_no_agent_and_are_told(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        for name in (b"f\xfcr.txt", b"f\xfcr.tflite", b"k\xfcche/model.tflite"):
            path = it.folder / os.fsdecode(name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"model")
        assert "rename it" in it.await_line("model.refused", "f\\xfcr.tflite").why
        assert "rename it" in it.await_line("model.refused", "k\\xfcche").why
        it.drop("cat")
        it.await_active("cat")


def test_folders_that_hold_no_model_by_their_names_are_told(tmp_path: Path) -> None:
    with agent(tmp_path) as it:
        for path in ("owl/nightly/model.tflite", "dog/dog.tflite"):
            (it.folder / path).parent.mkdir(parents=True)
            (it.folder / path).write_text("")
        (it.folder / "owl/2.0.1-rc1").mkdir()
        (it.folder / "owl/2.0.1-rc1/model.tflite").write_text("")
        assert "no version" in it.await_line("model.refused", "owl/nightly").why
        assert "called model.tflite" in it.await_line("model.refused", "dog/dog.tflite").why
        it.await_active("owl")
