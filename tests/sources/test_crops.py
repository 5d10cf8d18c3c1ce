from __future__ import annotations

import numpy as np
import pytest

from fixtures.models.descriptions import picture_frame
from inferd.config.settings import CropsSource
from inferd.errors import EndOfInput, FrameUnfinished, SourceError
from inferd.records import Box, Frame
from inferd.sources.crops import MOST_WAITING, Crops
from inferd.system.clock import CountingClock


def box(y0: float = 0.25, x0: float = 0.5, label: str = "person", score: float = 0.9, track: int | None = None) -> Box:
    return Box(0, label, score, (y0, x0, y0 + 0.25, x0 + 0.25), track)


def frame(seq: int = 0) -> Frame:
    picture = np.arange(40 * 80 * 3, dtype=np.uint8).reshape(40, 80, 3)
    return Frame(picture, seq, 7, 8.0, origin="door")


def crops(**options: object) -> Crops:
    return Crops(CropsSource(of="street", **options), CountingClock())  # type: ignore[arg-type]  # tests name right keys


def test_a_crop_is_the_box_of_the_frame_and_remembers_both() -> None:
    source = crops(margin=0.0)
    source.put(frame(3), [box()])
    crop = source.read(0)
    assert isinstance(crop.data, np.ndarray)
    assert np.array_equal(crop.data, np.asarray(frame().data)[10:20, 40:60])
    assert (crop.seq, crop.taken_ns, crop.crop) == (3, 7, box())


def test_a_margin_goes_around_the_box_but_not_beyond_the_picture() -> None:
    source = crops(margin=0.5)
    source.put(frame(), [box(), box(y0=0.0, x0=0.0)])
    assert [getattr(source.read(0).data, "shape", ())[:2] for _ in range(2)] == [(20, 40), (15, 30)]


def test_a_crop_does_not_hold_its_frame() -> None:
    source = crops()
    source.put(frame(), [box()])
    assert getattr(source.read(0).data, "base", "none") is None


def test_only_the_objects_that_are_wanted_are_given_the_best_first() -> None:
    source = crops(labels=("person",), min_score=0.5, most=2)
    boxes = [box(score=0.9), box(label="dog"), box(score=0.8, x0=0.1), box(score=0.4), box(score=0.7)]
    source.put(frame(), boxes)
    scores = [crop.score for crop in (source.read(0).crop, source.read(0).crop) if crop is not None]
    assert scores == [0.9, 0.8]
    with pytest.raises(FrameUnfinished):
        source.read(0)


def test_a_followed_object_is_looked_at_again_only_after_a_while() -> None:
    clock = CountingClock()
    source = Crops(CropsSource(of="street", every_s=2.0), clock)
    given: list[int | None] = []
    for _ in range(5):
        source.put(frame(), [box(track=1)])
        try:
            given.append(source.read(0).seq)
        except FrameUnfinished:
            given.append(None)
        clock.advance(1.0)
    assert given == [0, None, 0, None, 0]


def test_no_more_than_a_few_wait_and_the_oldest_make_room() -> None:
    source = crops(most=1)
    lost = [source.put(frame(seq), [box()]) for seq in range(MOST_WAITING + 2)]
    assert lost[-3:] == [0, 1, 1]
    assert source.read(0).seq == 2


def test_a_signal_has_nothing_to_cut() -> None:
    source = crops()
    source.put(Frame({"x": np.zeros((1, 4))}, 0, 0, 0.0), [box()])
    source.put(picture_frame(np.zeros((100, 3), np.float32)), [box()])
    with pytest.raises(FrameUnfinished):
        source.read(0)


def test_what_waits_is_given_before_the_end() -> None:
    clock = CountingClock()
    source = Crops(CropsSource(of="street"), clock)
    source.end()
    source.put(frame(), [box()])  # the last frame was still in the model
    assert source.read(0).seq == 0
    with pytest.raises(FrameUnfinished):
        source.read(0)
    clock.advance(2.0)
    with pytest.raises(EndOfInput):
        source.read(0)


def test_a_closed_source_is_of_no_more_use() -> None:
    source = crops()
    source.close()
    with pytest.raises(SourceError):
        source.read(0)
