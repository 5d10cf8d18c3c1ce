from __future__ import annotations

import pytest

from inferd_tools.bench.parts import part_rows


@pytest.mark.slow
def test_every_part_on_a_frames_way_has_a_row_with_its_cost() -> None:
    rows = dict(part_rows())
    assert all(float(figure) >= 0 for figures in rows.values() for figure in figures.split())
    parts = (
        "noise",
        "mfcc",
        "principal",
        "sharpness",
        "segment",
        "pose",
        "embed",
        "anomaly",
        "detect",
        "tracking",
        "zone",
    )
    assert {part for part in parts if not any(part in what for what in rows)} == set()
