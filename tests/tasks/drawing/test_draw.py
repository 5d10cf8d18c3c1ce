from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from msgspec.structs import replace

from inferd.records import Box, Label, Result
from inferd.tasks.drawing.draw import class_color, draw

LONG = "dragonfly, darning needle, devil's darning needle, sewing needle, snake feeder, snake doctor"


def box(*where: float, name: str = "cat") -> Box:
    y0, x0, y1, x1 = where
    return Box(0, name, 0.9, (y0, x0, y1, x1))


def test_the_picture_itself_is_not_changed() -> None:
    picture = np.zeros((60, 80, 3), np.uint8)
    drawn = draw(picture, Result(boxes=(box(0.2, 0.2, 0.8, 0.8),)))
    assert not picture.any()
    assert drawn.any()


def test_a_frame_in_the_colour_of_its_class_is_where_the_box_is() -> None:
    drawn = draw(np.zeros((400, 400, 3), np.uint8), Result(boxes=(box(0.25, 0.25, 0.75, 0.75),)))
    assert tuple(drawn[200, 100]) == class_color(0)
    assert tuple(drawn[300, 200]) == class_color(0)
    assert not drawn[200, 200].any()


def test_a_grey_picture_gets_colours() -> None:
    assert draw(np.zeros((60, 80), np.uint8), Result(boxes=(box(0.1, 0.1, 0.9, 0.9),))).shape == (60, 80, 3)


def test_the_same_class_has_the_same_colour_and_neighbours_differ() -> None:
    colours = [np.array(class_color(index)) for index in range(100)]
    assert class_color(7) == class_color(7)
    assert all(np.abs(one - two).max() > 60 for one, two in pairwise(colours))


def test_what_was_seen_closer_stands_behind_the_name() -> None:
    canvas, plain = np.zeros((240, 320, 3), np.uint8), box(0.5, 0.1, 0.9, 0.5)
    closer = replace(plain, closer={"breeds": Label(3, "collie", 0.7)})
    without, beside = (draw(canvas, Result(boxes=(one,))) for one in (plain, closer))
    assert np.count_nonzero(beside) > np.count_nonzero(without)


def test_two_names_do_not_cover_each_other() -> None:
    here = (0.5, 0.5, 0.7, 0.7)
    one = draw(np.zeros((400, 400, 3), np.uint8), Result(boxes=(box(*here),)))
    two = draw(np.zeros((400, 400, 3), np.uint8), Result(boxes=(box(*here), box(*here))))
    plates = [int((drawn == class_color(0)).all(axis=2).sum()) for drawn in (one, two)]
    assert plates[1] > plates[0]


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (32, 500), (500, 32), (2000, 3000)])
def test_any_size_can_be_drawn_on(size: tuple[int, int]) -> None:
    result = Result(
        labels=(Label(0, LONG, 1.0), Label(1, "käse", 0.0)),
        boxes=(box(0.0, 0.0, 1.0, 1.0, name=LONG), box(0.99, 0.99, 1.0, 1.0)),
        keypoints=((0.0, 0.0, 1.0), (1.0, 1.0, 1.0), (-0.5, 2.0, 1.0)),
    )
    assert draw(np.zeros((*size, 3), np.uint8), result).shape == (*size, 3)


def test_a_long_name_keeps_clear_of_the_right_edge() -> None:
    drawn = draw(np.full((300, 400, 3), 200, np.uint8), Result(labels=(Label(0, LONG, 0.99),)))
    assert drawn[:, -20:].max(axis=(0, 2)).min() == drawn[:, -20:].max()
