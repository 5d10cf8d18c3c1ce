"""Good updates in bad weather: whatever the world does, no model is blamed for it. The long form is `make soak`'s."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.weather import update_in_weathers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.mark.parametrize("weather", ["night", "covered", "empty", "gone"])
def test_no_good_update_is_blamed_for_what_the_camera_sees(tmp_path: Path, weather: str) -> None:
    told = update_in_weathers(tmp_path, times=2, seed=1, weathers=(weather,))
    assert told.blamed == []
    assert told.committed == {weather: 2}
