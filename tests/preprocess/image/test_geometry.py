from __future__ import annotations

import pytest

from inferd.preprocess.image.geometry import ImageLayout, fit
from inferd.records import Geometry

WHOLE = (0.0, 0.0, 1.0, 1.0)


def source_of(laid: ImageLayout, y: float, x: float) -> tuple[float, float]:
    geometry = laid.geometry
    return y * geometry.scale_y + geometry.offset_y, x * geometry.scale_x + geometry.offset_x


def test_a_stretched_picture_needs_no_way_back() -> None:
    assert fit((480, 640), (224, 224), "stretch", WHOLE).geometry == Geometry()


def test_a_region_of_interest_is_found_again() -> None:
    laid = fit((100, 200), (10, 10), "stretch", (0.5, 0.25, 1.0, 0.75))
    assert (source_of(laid, 0, 0), source_of(laid, 1, 1)) == ((0.5, 0.25), (1.0, 0.75))


def test_a_crop_takes_the_middle_of_the_longer_side() -> None:
    laid = fit((480, 640), (224, 224), "crop", WHOLE)
    assert source_of(laid, 0, 0) == pytest.approx((0.0, 80 / 640))
    assert source_of(laid, 1, 1) == pytest.approx((1.0, 560 / 640))


def test_a_letterboxed_picture_touches_two_edges_and_is_centred() -> None:
    laid = fit((480, 640), (128, 128), "letterbox", WHOLE)
    assert (laid.y.to_start, laid.y.to_size, laid.x.to_start, laid.x.to_size) == (16, 96, 0, 128)
    assert source_of(laid, 16 / 128, 0) == pytest.approx((0.0, 0.0))
    assert source_of(laid, 112 / 128, 1) == pytest.approx((1.0, 1.0))


def test_a_letterbox_that_fits_whole_pixels_needs_no_bars_around_the_picture() -> None:
    assert not fit((480, 640), (128, 128), "letterbox", WHOLE).barred


@pytest.mark.parametrize("source", [(355, 512), (600, 512), (720, 1280), (481, 641), (7, 1000), (1000, 7), (1, 1)])
@pytest.mark.parametrize("target", [(128, 128), (300, 200)])
def test_a_letterboxed_picture_keeps_its_proportions_and_its_middle(
    source: tuple[int, int], target: tuple[int, int]
) -> None:
    laid = fit(source, target, "letterbox", WHOLE)
    per_y = laid.geometry.scale_y * source[0] / target[0]  # source pixels per target pixel
    per_x = laid.geometry.scale_x * source[1] / target[1]
    middle = source_of(laid, 0.5, 0.5)
    assert per_y == pytest.approx(per_x, rel=0.05)
    assert (middle[0] - 0.5) * source[0] == pytest.approx(0, abs=1)
    assert (middle[1] - 0.5) * source[1] == pytest.approx(0, abs=1)


@pytest.mark.parametrize("resize", ["stretch", "crop", "letterbox"])
@pytest.mark.parametrize("roi", [(0.999, 0.999, 1.0, 1.0), (0.0, 0.0, 0.001, 0.001), (1.0, 1.0, 1.0, 1.0)])
def test_the_smallest_region_is_one_pixel(resize: str, roi: tuple[float, float, float, float]) -> None:
    laid = fit((10, 10), (8, 8), resize, roi)  # type: ignore[arg-type]  # the parameters are its literals
    assert (laid.y.size, laid.x.size) == (1, 1)
    assert 0 <= laid.y.start < 10


def test_extreme_proportions_take_no_more_memory_than_the_picture() -> None:
    laid = fit((100, 1_000_000), (128, 128), "letterbox", WHOLE)
    assert laid.y.before + laid.y.size + laid.y.after <= 3 * 1_000_000 / 128
