from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from fixtures.agents.demo_messages import CLIP, NOTES, lively_scene, result
from inferd.demo.screen import ASCII, UNICODE, Glyphs, draw
from inferd.demo.view import DemoState, DemoView

WRONG_SEVEN = """\
 inferd demo   handwritten digits, read by the real agent  01:07  Ctrl-C ends it
┌──── frame 1 ─────┐
│                  │  read      9   score 0.996
│   ████████████   │  written   7   ✗ WRONG
│             ██   │
│           ██     │  accuracy  66.7 %   2 of 3 right
│         ▓▓       │  last 20   ✓✓✗
│       ██         │  speed     15.0 frames a second
│       ░░         │  dropped   superseded 2
│                  │  model     digits 1.0.0 on ai-edge-litert 2.3.0
└──────────────────┘

latency, ms     p50     p95     p99   process              CPU %    memory, MB
───────────────────────────────────   ────────────────────────────────────────
preprocess        -       -       -   control                1.9            30
invoke            -       -       -   seed                   0.0            65
decode            -       -       -   worker (pid 12345)     4.3            53
total          2.00    2.00    2.00   whole device          12.5   792 of 3792
frame age         -       -       -   temperature, C                        48

Its telemetry, in another terminal:
  mosquitto_sub -h localhost -p 1883 -t 'inferd/demo-3f2a/#' -v
A model on your own picture: inferd infer MODEL PICTURE
"""


def drawn(view: DemoView, width: int = 80, height: int = 24, glyphs: Glyphs = UNICODE) -> str:
    """Return the screen as a person sees it, without colours."""
    page = StringIO()
    console = Console(file=page, width=width, height=height, color_system=None, legacy_windows=False)
    console.print(draw(view, NOTES, 67.9, glyphs, large=width > 80))
    return "".join(f"{row.rstrip()}\n" for row in page.getvalue().splitlines())


def test_everything_stands_on_eighty_columns() -> None:
    assert drawn(lively_scene().view()) == WRONG_SEVEN


def test_the_verdict_is_words_and_a_mark_not_only_a_colour() -> None:
    scene = DemoState(CLIP, "digits")
    scene.hear("digits/result", result(2, "1"))
    assert "written   1   ✓ right" in drawn(scene.view())


@pytest.mark.parametrize("news", ["", "waiting: " + "a long reason, " * 8])
def test_it_fits_a_small_terminal_whatever_happens(news: str) -> None:
    assert len(drawn(lively_scene().view(news)).splitlines()) <= 24


def test_a_figure_that_is_not_known_is_a_dash() -> None:
    scene = DemoState(CLIP, "digits")
    scene.hear("digits/result", result(0, "7"))
    assert "speed     -" in drawn(scene.view())


def test_before_the_first_result_it_says_what_it_waits_for() -> None:
    assert "waiting: its model is being tried" in drawn(DemoView(why="its model is being tried"))


def test_a_terminal_without_unicode_gets_plain_characters() -> None:
    verdict = drawn(lively_scene().view(), glyphs=ASCII).splitlines()[3]
    assert "############" in verdict
    assert "x WRONG" in verdict


def test_a_large_terminal_gets_a_large_picture() -> None:
    rows = drawn(lively_scene().view(), width=120, height=40).splitlines()
    assert sum("█" * 24 in row for row in rows) == 2
    assert len(rows) <= 40


def test_no_temperature_leaves_its_row_out() -> None:
    view = lively_scene().view()
    assert "temperature" not in drawn(replace(view, system={**view.system, "temperature_c": None}))
