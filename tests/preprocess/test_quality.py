from __future__ import annotations

import cv2
import numpy as np
import pytest

from fixtures.media.pictures import noise
from inferd.errors import ModelError
from inferd.preprocess.denoise import picture_filter
from inferd.preprocess.image.steps import ImagePreprocess
from inferd.preprocess.quality import Quality, over
from inferd.records import Array, Frame, TensorSpec
from inferd.wire.manifest import InputSection, QualitySection

GOOD = noise(240, 320)


def flaws(quality: Quality, data: Array, at_s: float = 0.0) -> list[str]:
    return [finding.flaw for finding in quality.judge(Frame(data, 0, round(at_s * 1e9), 0.0))]


def rules(**keys: object) -> Quality:
    return Quality(QualitySection(**keys))  # type: ignore[arg-type]  # tests name right keys


@pytest.mark.parametrize("channels", [1, 3])
def test_a_covered_camera_is_black_and_a_good_picture_is_not(channels: int) -> None:
    quality = rules(dark=0.05)
    assert flaws(quality, np.full((240, 320, channels), 3, np.uint8)) == ["black"]
    assert flaws(quality, GOOD[:, :, :channels]) == []


def test_a_blinded_camera_is_over_exposed() -> None:
    blinded = GOOD.copy()
    blinded[:, :200] = 255
    assert flaws(rules(bright=0.5), blinded) == ["over_exposed"]
    assert flaws(rules(bright=0.5), GOOD) == []


@pytest.mark.parametrize("shape", [(240, 320), (240, 320, 1), (240, 320, 3), (20, 20, 3)])
def test_a_shaken_camera_is_blurred(shape: tuple[int, ...]) -> None:
    quality = rules(sharp=100.0)
    sharp = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert flaws(quality, sharp) == []
    assert flaws(quality, cv2.blur(sharp, (15, 15)).reshape(shape)) == ["blurred"]


def test_a_camera_that_hangs_is_frozen_after_its_time_and_well_again_with_the_next_picture() -> None:
    quality = rules(frozen_s=2.0)
    assert [flaws(quality, GOOD, at_s) for at_s in (0, 1, 2, 3)] == [[], [], ["frozen"], ["frozen"]]
    assert flaws(quality, noise(240, 320, seed=9), 4) == []


def test_gaps_are_missing_values_from_a_share_on() -> None:
    window = np.ones((10, 2), np.float32)
    window[:3, 0] = np.nan
    assert flaws(rules(missing=0.1), window) == ["missing_values"]
    assert flaws(rules(missing=0.2), window) == []


def test_what_cannot_be_is_named_with_its_channel() -> None:
    quality = rules(low=(-10.0,), high=(50.0, 100.0))
    (found,) = quality.judge(Frame(np.array([[20.0, 120.0]], np.float32), 0, 0, 0.0))
    assert (found.flaw, found.why) == ("impossible_values", "channel 1 is 120, beyond 100")
    assert flaws(quality, np.array([[20.0, np.nan]], np.float32)) == []
    assert flaws(quality, np.array([[20.0, 1.0, 1.0]], np.float32)) == ["impossible_values"]


def test_only_what_is_named_is_kept_from_the_model() -> None:
    quality = rules(dark=0.05, sharp=10.0, keep_out=("black",))
    found = quality.judge(Frame(np.zeros((240, 320, 3), np.uint8), 0, 0, 0.0))
    assert [(one.flaw, one.keep_out) for one in found] == [("black", True), ("blurred", False)]


def test_nothing_is_looked_at_that_was_not_asked_for() -> None:
    assert flaws(rules(keep_out=("black",)), np.zeros((240, 320, 3), np.uint8)) == []


def test_a_pipeline_has_the_last_word() -> None:
    model = QualitySection(dark=0.1, sharp=5.0)
    assert over(model, QualitySection(dark=0.2)) == QualitySection(dark=0.2, sharp=5.0)


@pytest.mark.parametrize("kind", ["median", "gaussian", "bilateral"])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_filter_calms_a_noisy_picture(kind: str, channels: int) -> None:
    smooth = picture_filter(InputSection(denoise=kind))  # type: ignore[arg-type]  # the kinds there are
    assert smooth is not None
    chance = np.random.default_rng(0)
    noisy = np.clip(128 + 15 * chance.standard_normal((60, 80, channels)), 0, 255).astype(np.uint8)
    calm = np.zeros_like(noisy)
    smooth(noisy, calm)
    assert calm.std() < 0.7 * noisy.std()


def test_an_edge_survives_the_bilateral_filter() -> None:
    smooth = picture_filter(InputSection(denoise="bilateral"))
    assert smooth is not None
    edge = np.zeros((20, 20, 3), np.uint8)
    edge[:, 10:] = 200
    calm = np.zeros_like(edge)
    smooth(edge, calm)
    assert np.array_equal(calm, edge)


def test_noise_is_taken_out_before_the_picture_is_resized() -> None:
    speckled = np.full((64, 64, 3), 100, np.uint8)
    speckled[::7, ::5] = 255
    tensor = np.zeros((1, 32, 32, 3), np.uint8)
    spec = TensorSpec("x", (1, 32, 32, 3), "uint8")
    ImagePreprocess(InputSection(denoise="median"), spec, (0, 0, 1, 1))(Frame(speckled, 0, 0, 0.0), [tensor])
    assert set(np.unique(tensor)) == {100}


def test_an_even_size_is_refused() -> None:
    with pytest.raises(ModelError, match="must be odd"):
        picture_filter(InputSection(denoise="median", denoise_px=4))
