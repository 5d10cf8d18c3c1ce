"""Eight hostile cameras at one agent, 500 cases: the pipeline beside them loses nothing, and memory stays bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.campaigns.hostile_cameras import attack

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]

CASES, CAMERAS, LONGEST_S = 500, 8, 1500.0
PEAK_MB = 400.0  # eight JPEGs of 16 MiB on their way, twice, beside the worker itself
LOST_SHARE = 0.02  # of 20 frames a second; 0.4 % were lost beside eight good cameras on the same busy machine


def test_five_hundred_hostile_cameras_disturb_no_other_pipeline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = attack(tmp_path, CASES, CAMERAS, LONGEST_S)
    with capsys.disabled():
        print(f"\n{figures}")  # noqa: T201 - what a soak is run for
    assert figures.cases == CASES
    assert not figures.worker_replaced
    assert figures.lost <= LOST_SHARE * figures.frames
    assert figures.peak_mb < PEAK_MB
