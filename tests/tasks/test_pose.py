from __future__ import annotations

import numpy as np
import pytest

from fixtures.models.descriptions import describe, engine_info
from inferd.errors import ModelError
from inferd.records import Array, Geometry, TensorSpec
from inferd.tasks.pose import Pose
from inferd.wire.manifest import Decoder, OutputSection

PICTURE = TensorSpec("x", (1, 100, 200, 3), "float32")


def pose(decoder: Decoder | None, *outputs: Array) -> Pose:
    specs = [TensorSpec(f"y{at}", output.shape, output.dtype.name) for at, output in enumerate(outputs)]
    return Pose(describe(None, OutputSection(decoder=decoder)), engine_info([PICTURE], specs))


def test_points_of_a_body_lie_on_the_source_picture() -> None:
    points = np.zeros((1, 1, 17, 3), np.float32)
    points[0, 0, 5] = (0.5, 0.25, 0.8)
    found = pose("movenet", points).decode([points], Geometry(2.0, -0.5, 1.0, 0.1)).keypoints
    assert found is not None
    assert len(found) == 17
    assert found[5] == pytest.approx((0.5, 0.35, 0.8))


def test_points_of_a_hand_are_pixels_of_the_input_and_as_sure_as_the_hand() -> None:
    points = np.zeros((1, 63), np.float32)
    points[0, :3] = (50.0, 25.0, 1.0)
    outputs = [points, np.array([[0.75]], np.float32)]
    result = pose("landmarks", *outputs).decode(outputs, Geometry())
    assert result.keypoints is not None
    assert len(result.keypoints) == 21
    assert result.keypoints[0] == pytest.approx((0.25, 0.25, 0.75))
    assert result.score == pytest.approx(0.75)


def test_points_of_a_body_in_pixels_have_a_visibility_each() -> None:
    points = np.zeros((1, 195), np.float32)
    points[0, :5] = (100.0, 50.0, 0.0, 20.0, 20.0)
    found = pose("landmarks", points).decode([points], Geometry()).keypoints
    assert found is not None
    assert len(found) == 39
    assert found[0] == pytest.approx((0.5, 0.5, 1.0))
    assert found[1][2] == pytest.approx(0.5)


def test_points_that_are_no_numbers_are_unsure() -> None:
    points = np.full((1, 1, 17, 3), np.nan, np.float32)
    found = pose("movenet", points).decode([points], Geometry()).keypoints
    assert found == ((0.0, 0.0, 0.0),) * 17


@pytest.mark.parametrize(("decoder", "why"), [("movenet", "reads no such output"), (None, "say output.decoder")])
def test_other_outputs_are_refused(decoder: Decoder | None, why: str) -> None:
    with pytest.raises(ModelError, match=why):
        pose(decoder, np.zeros((1, 10), np.float32))
