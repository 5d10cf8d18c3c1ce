from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from fixtures.agents.demo_messages import CLIP, lively_scene, metrics, result
from inferd.bundled_files import bundled
from inferd.demo.clip import read_clip
from inferd.demo.view import DemoState
from inferd.errors import ModelError
from inferd.histogram import quantile
from inferd.wire.telemetry import PipelineStatus


def test_the_truth_about_every_frame_comes_with_inferd() -> None:
    clip = read_clip(bundled("digits") / "clip.json")
    assert len(clip.labels) == len(clip.samples) == clip.frames
    assert {clip.truth(frame) for frame in range(clip.frames)} == set("0123456789")


def test_a_picture_is_eight_rows_of_eight_cells() -> None:
    assert CLIP.picture(2) == ((0, 0, 0, 3, 0, 0, 0, 0),) * 8


def test_a_frame_beyond_the_end_belongs_to_the_next_round() -> None:
    assert CLIP.truth(5) == CLIP.truth(2) == "1"


def test_a_missing_truth_is_named_with_its_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"clip\.json.*install inferd again"):
        read_clip(tmp_path / "clip.json")


def test_results_are_compared_with_the_truth_of_their_frame() -> None:
    view = lively_scene().view()
    assert (view.right, view.seen, view.recent) == (2, 3, (True, True, False))


def test_frame_numbers_that_begin_anew_are_judged_as_before() -> None:
    scene = DemoState(CLIP, "digits")
    for frame, label in ((2, "1"), (0, "7"), (1, "7")):
        scene.hear("digits/result", result(frame, label))
    assert scene.view().right == 3


def test_a_result_without_a_label_is_wrong() -> None:
    scene = DemoState(CLIP, "digits")
    told = msgspec.json.decode(result(0, "7"))
    scene.hear("digits/result", msgspec.json.encode({**told, "labels": []}))
    assert (scene.view().right, scene.view().seen) == (0, 1)


def test_latencies_of_all_intervals_are_added_up() -> None:
    scene = lively_scene()
    for _ in range(9):
        scene.hear("metrics", metrics(spent_ms=8))
    total = scene.view().latency["total"]
    assert total.count == 10
    assert quantile(total, 0.5) == pytest.approx(8, rel=0.01)


def test_without_metrics_the_results_themselves_tell_their_latency() -> None:
    scene = DemoState(CLIP, "digits")
    scene.hear("digits/result", result(0, "7"))
    assert quantile(scene.view().latency["total"], 0.5) == pytest.approx(1.0, rel=0.01)


def test_the_worker_is_known_by_its_process_number() -> None:
    assert lively_scene().view().worker_pid == 12345


@pytest.mark.parametrize("payload", [b"", b"nonsense", b"[]", b'{"frame": "x"}'])
def test_what_is_no_message_of_ours_changes_nothing(payload: bytes) -> None:
    scene = lively_scene()
    before = scene.view()
    for topic in ("digits/result", "digits/status", "digits/model", "metrics", "event", "else"):
        scene.hear(topic, payload)
    assert scene.view() == before


def test_a_pipeline_that_does_not_run_says_why() -> None:
    scene = lively_scene()
    scene.hear("digits/status", msgspec.json.encode(PipelineStatus("waiting", "the worker ended", "")))
    assert scene.view().news == "waiting: the worker ended"


def test_while_all_is_well_there_is_no_news() -> None:
    assert lively_scene().view().news == ""


def test_a_broker_that_is_gone_is_the_news() -> None:
    assert lively_scene().view("the broker is gone").news == "the broker is gone"
