"""What is not foreseen while a configuration is applied at the start: exit 78, so that systemd does not try for ever."""

from __future__ import annotations

import pytest

from fixtures.agents.fake_pipeline import pipeline
from inferd.config import settings
from inferd.control.service import applying
from inferd.errors import ConfigError, StoreError

CONFIG = settings.Config(pipeline=(pipeline("cam"),))


def test_what_no_check_foresaw_is_a_fault_of_the_configuration() -> None:
    with (
        pytest.raises(ConfigError, match=r"cannot be applied \(OverflowError: too large\); its pipelines are cam"),
        applying(CONFIG),
    ):
        raise OverflowError("too large")


@pytest.mark.parametrize("error", [StoreError("disk", "is full"), OSError(28, "No space left on device")])
def test_the_systems_faults_stay_what_they_are(error: Exception) -> None:
    with pytest.raises(type(error)), applying(CONFIG):
        raise error
