from __future__ import annotations

from dataclasses import replace

from fixtures.agents.demo_messages import CLIP, NOTES, lively_scene
from inferd.demo.plain_text import line, opening, summary
from inferd.demo.view import DemoState, DemoView


def test_a_line_holds_the_verdict_and_the_figures() -> None:
    assert line(lively_scene().view(), 67.9) == (
        "01:07 frame 1: read 9, written 7, WRONG | 2 of 3 right (66.7 %) | 15.0 fps"
        " | total ms p50 2.00 p95 2.00 p99 2.00 | dropped superseded 2"
        " | control 1.9 % cpu 30 MB | seed 0.0 % cpu 65 MB | worker 4.3 % cpu 53 MB"
    )


def test_a_line_ends_with_what_is_amiss() -> None:
    assert line(lively_scene().view("the broker is gone"), 3.0).endswith(" | the broker is gone")


def test_before_the_first_result_a_line_says_so() -> None:
    assert (
        line(DemoView(why="its model is being tried"), 2.0) == "00:02 no result yet; waiting: its model is being tried"
    )


def test_the_opening_tells_how_to_watch() -> None:
    assert f"watch it in another terminal: {NOTES.watch}" in opening(NOTES)


def test_without_a_broker_the_opening_tells_how_to_get_one() -> None:
    lines = opening(replace(NOTES, watch="", broker="none; to get one: sudo apt-get install mosquitto"))
    assert lines[-1] == "broker: none; to get one: sudo apt-get install mosquitto"


def test_the_summary_tells_the_accuracy_and_how_to_go_on() -> None:
    text = "\n".join(summary(lively_scene().view(), NOTES))
    assert "2 of 3 digits read right (66.7 %)" in text
    assert "inferd infer MODEL PICTURE" in text


def test_the_summary_of_nothing_says_so() -> None:
    assert summary(DemoState(CLIP, "digits").view(), NOTES)[0] == "No result was seen."
