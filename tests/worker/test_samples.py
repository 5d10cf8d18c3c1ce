from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fixtures.agents.agent import run_whole
from fixtures.agents.fake_pipeline import fake, pipeline
from inferd.config import settings
from inferd.records import Frame
from inferd.worker.samples import SampleRing, encode


def test_the_oldest_make_room(tmp_path: Path) -> None:
    ring = SampleRing(tmp_path / "cam", 250)
    for number in range(5):
        ring.add(f"2026010{number}T000000-0", ".png", bytes(90), b"{}")
    left = sorted(path.stem for path in (tmp_path / "cam").glob("*.png"))
    assert left == ["00000004-20260103T000000-0", "00000005-20260104T000000-0"]


def test_samples_go_in_the_order_in_which_they_came_whatever_the_clock_said(tmp_path: Path) -> None:
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / "20261201T000000000-1.png").write_bytes(bytes(90))  # as an older inferd named them
    for day in ("20261202", "19700101"):  # the second is written after a restart, before NTP
        SampleRing(tmp_path / "cam", 250).add(f"{day}T000000000-1", ".png", bytes(90), b"{}")
    left = sorted(path.stem for path in (tmp_path / "cam").glob("*.png"))
    assert left == ["00000001-20261202T000000000-1", "00000002-19700101T000000000-1"]


def test_samples_are_the_owners_alone_and_what_was_left_unfinished_goes(tmp_path: Path) -> None:
    (tmp_path / "cam").mkdir()
    (tmp_path / "cam" / ".unfinished-x").write_bytes(bytes(1000))
    SampleRing(tmp_path / "cam", 250).add("20261202T000000000-1", ".png", bytes(90), b"{}")
    modes = {path.suffix: path.stat().st_mode & 0o777 for path in (tmp_path / "cam").iterdir()}
    assert modes == {".png": 0o600, ".json": 0o600}


def test_a_sample_larger_than_the_ring_is_left_out(tmp_path: Path) -> None:
    SampleRing(tmp_path / "cam", 10).add("x", ".png", bytes(90), b"{}")
    assert not (tmp_path / "cam").exists()


def test_tensors_are_kept_bit_by_bit(tmp_path: Path) -> None:
    suffix, content = encode(Frame({"x": np.arange(4.0)}, 0, 0, 0.0))
    (tmp_path / f"a{suffix}").write_bytes(content)
    assert np.load(tmp_path / "a.npz")["x"].tolist() == [0, 1, 2, 3]


def test_the_agent_keeps_what_its_model_finds_hard_and_says_why(tmp_path: Path) -> None:
    rules = settings.Samples(keep_mb=1.0, folder=str(tmp_path / "samples"), every_s=0.0)
    source = settings.SyntheticSource(width=32, height=24, frames=20)
    fast = {"source": source, "pace": settings.Pace(mode="fixed", fps=50.0), "engine": fake(scores=(0.52, 0.48))}
    run_whole(tmp_path, pipeline("cam", samples=rules, **fast))
    told = sorted((tmp_path / "samples" / "cam").glob("*.json"))
    assert told
    sample = json.loads(told[0].read_text())
    assert sample["why"] == "low margin"
    assert sample["result"]["labels"][0]["score"] == pytest.approx(0.52)
    picture = cv2.imread(str(told[0].with_suffix(".png")))
    assert picture is not None
    assert picture.shape == (24, 32, 3)


def test_without_the_rule_there_is_no_folder(tmp_path: Path) -> None:
    source = settings.SyntheticSource(width=32, height=24, frames=5)
    fast = {"source": source, "pace": settings.Pace(mode="fast"), "engine": fake(scores=(0.5, 0.5))}
    run_whole(tmp_path, pipeline("cam", **fast))
    assert not (tmp_path / "samples").exists()
