"""Cameras that want to know who asks."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.network.camera_with_login import NAME, PASSWORD, guarded
from inferd.config import settings
from inferd.errors import FrameUnfinished, SourceError
from inferd.plugins import Source
from inferd.sources.camera.network import open_stream
from inferd.system.clock import Clock, CountingClock, SystemClock

PATIENT_S = 10.0
Open = Callable[..., Source]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Return what opens a camera with the right login in a file."""

    def connect(url: str, password: str = PASSWORD, clock: Clock | None = None, fps: float = 1.0) -> Source:
        (tmp_path / "password").write_text(f"{password}\n")
        told = settings.StreamSource(url=url, username=NAME, password_file=str(tmp_path / "password"), fps=fps)
        return open_stream(told, clock or SystemClock())

    return connect


@pytest.mark.parametrize(
    "offers", [("MD5",), ("SHA-256",), ("Basic",), ("Basic", "MD5", "SHA-256"), ("SHA-256", "MD5")]
)
def test_a_login_is_told_in_the_safest_way_that_the_camera_offers(opened: Open, offers: tuple[str, ...]) -> None:
    with guarded(*offers) as camera, closing(opened(camera.url)) as source:
        assert [source.read(PATIENT_S).seq for _ in range(3)] == [0, 1, 2]
    safest = max(offers, key=["Basic", "MD5", "SHA-256"].index)
    assert camera.told[0] == ""
    assert safest in camera.told[1]


def test_with_digest_the_password_never_crosses_the_wire(opened: Open) -> None:
    with guarded("MD5", "Basic") as camera, closing(opened(camera.url)):
        assert not any("Basic" in told or PASSWORD in told for told in camera.told)


@pytest.mark.parametrize("offers", ["MD5", "Basic"])
def test_a_wrong_password_is_refused_without_being_told(opened: Open, offers: str) -> None:
    with guarded(offers) as camera, pytest.raises(SourceError, match="check username and password_file") as caught:
        opened(camera.url, "wr0ng")
    assert len(camera.told) == 2
    assert "wr0ng" not in str(caught.value)


def test_a_kind_of_login_that_nobody_knows_is_refused(opened: Open) -> None:
    with guarded("SHA-512-256") as camera, pytest.raises(SourceError, match="answers 401"):
        opened(camera.url)


def test_a_camera_of_single_pictures_is_asked_again_and_again(opened: Open) -> None:
    clock = CountingClock()
    with guarded("MD5", single=True) as camera, closing(opened(camera.url, clock=clock, fps=2.0)) as source:
        taken = [source.read(PATIENT_S) for _ in range(4)]
    assert [frame.seq for frame in taken] == [0, 1, 2, 3]
    assert [(frame.taken_ns - taken[0].taken_ns) / 1e9 for frame in taken] == [0.0, 0.5, 1.0, 1.5]


def test_its_login_is_known_after_the_first_picture(opened: Open) -> None:
    with guarded("MD5", single=True) as camera, closing(opened(camera.url, clock=CountingClock())) as source:
        for _ in range(3):
            source.read(PATIENT_S)
        assert [bool(told) for told in camera.told] == [False, True, True, True, True]


def test_a_nonce_that_has_served_its_time_is_replaced(opened: Open) -> None:
    with (
        guarded("MD5", single=True, lifetime=2) as camera,
        closing(opened(camera.url, clock=CountingClock())) as source,
    ):
        assert [source.read(PATIENT_S).seq for _ in range(6)] == list(range(6))


def test_a_picture_that_is_not_due_is_on_its_way(opened: Open) -> None:
    with guarded("MD5", single=True) as camera, closing(opened(camera.url, clock=CountingClock(), fps=0.5)) as source:
        source.read(PATIENT_S)
        with pytest.raises(FrameUnfinished, match="is not due"):
            source.read(1.0)
        assert source.read(1.0).seq == 1


def test_a_rate_that_is_none_is_refused(opened: Open) -> None:
    with guarded("MD5", single=True) as camera, pytest.raises(SourceError, match="fps is 0"):
        opened(camera.url, fps=0.0)
