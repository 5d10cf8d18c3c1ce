from __future__ import annotations

import numpy as np
import pytest

from inferd.config.settings import SyntheticSource
from inferd.errors import SourceError, SourceTimeout
from inferd.sources.synthetic import Synthetic
from inferd.system.clock import CountingClock


def test_the_picture_is_a_function_of_its_number() -> None:
    one, other = (Synthetic(SyntheticSource(), CountingClock()) for _ in range(2))
    for _ in range(5):
        assert np.array_equal(np.asarray(one.read(1.0).data), np.asarray(other.read(1.0).data))


def test_the_picture_moves() -> None:
    source = Synthetic(SyntheticSource(), CountingClock())
    assert not np.array_equal(np.asarray(source.read(1.0).data), np.asarray(source.read(1.0).data))


def test_it_never_wanders_off_its_texture() -> None:
    source = Synthetic(SyntheticSource(width=8, height=6), CountingClock())
    assert {np.asarray(source.read(1.0).data).shape for _ in range(500)} == {(6, 8, 3)}


def test_nobody_can_paint_on_the_texture() -> None:
    frame = Synthetic(SyntheticSource(), CountingClock()).read(1.0)
    with pytest.raises(ValueError, match="read-only"):
        np.asarray(frame.data)[0, 0] = 0


def test_it_fails_after_as_many_frames_as_it_was_told() -> None:
    source = Synthetic(SyntheticSource(fail_after=2), CountingClock())
    source.read(1.0)
    source.read(1.0)
    with pytest.raises(SourceError, match="failed after 2 frames"):
        source.read(1.0)


def test_a_stall_takes_the_whole_time_out() -> None:
    clock = CountingClock()
    source = Synthetic(SyntheticSource(stall_after=1), clock)
    source.read(1.0)
    before = clock.monotonic_ns()
    with pytest.raises(SourceTimeout):
        source.read(0.5)
    assert clock.monotonic_ns() - before == 500_000_000


def test_a_picture_without_area_is_refused() -> None:
    with pytest.raises(SourceError, match="width and height"):
        Synthetic(SyntheticSource(width=0), CountingClock())
