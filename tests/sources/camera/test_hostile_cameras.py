from __future__ import annotations

import time
from contextlib import closing
from random import Random

import pytest

from fixtures.campaigns.hostile_cameras import GOOD, KINDS, bomb, drip, once
from fixtures.network.cameras import HEADER, camera, part
from inferd.config import settings
from inferd.errors import FrameError, SourceError, SourceTimeout
from inferd.system.clock import SystemClock
from inferd.worker.opened_source import OpenedSource

ALLOWED_S = 0.5


def opened(url: str, **options: object) -> OpenedSource:
    keys = {"open_timeout_s": ALLOWED_S, "read_timeout_s": ALLOWED_S, **options}
    return OpenedSource(settings.StreamSource(url=url, **keys), SystemClock())  # type: ignore[arg-type]  # right keys


def read_until_it_fails(url: str) -> str:
    """Return the sentence with which a camera is given up, or the last fault of one that only drips."""
    with closing(opened(url, username="ann", password_file="")) as source:
        ends, why = time.monotonic() + 3, ""
        while time.monotonic() < ends:
            try:
                source.read(0.2)
            except (FrameError, SourceTimeout) as exc:
                why = str(exc)
    return why


@pytest.mark.parametrize("kind", KINDS)
def test_a_hostile_camera_is_a_named_fault_of_its_own(kind: str) -> None:
    with camera(KINDS[kind](Random(1))) as shown:  # noqa: S311 - repeatable
        try:
            why = read_until_it_fails(shown.url)
        except SourceError as exc:
            why = str(exc)
    assert why.startswith("http://127.0.0.1:")
    assert "bug of inferd" not in why
    assert len(why) < 300


@pytest.mark.parametrize("kind", ["drips its status", "drips headers", "continues for ever", "continues slowly"])
def test_the_whole_answer_must_come_within_the_open_timeout(kind: str) -> None:
    with camera(KINDS[kind](Random(1))) as shown:  # noqa: S311 - repeatable
        began = time.monotonic()
        with pytest.raises(SourceError, match=r"no whole answer in 0\.5 s"):
            opened(shown.url)
        assert time.monotonic() - began < 4 * ALLOWED_S


@pytest.mark.parametrize("size", [(32000, 32000), (65500, 65500), (10_001, 10_000)])
def test_a_jpeg_that_claims_a_huge_picture_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    with (
        camera(once(HEADER + part(bomb(*size)) + part(GOOD))) as shown,
        closing(opened(shown.url)) as source,
    ):
        with pytest.raises(FrameError, match=f"{size[0]} x {size[1]} pixels, more than the"):
            source.read(1.0)
        assert source.read(1.0).seq == 0


def test_a_dripped_picture_never_becomes_a_frame() -> None:
    with (
        camera(drip(GOOD, HEADER + part(GOOD)[:60])) as shown,
        closing(opened(shown.url)) as source,
        pytest.raises(SourceTimeout),
    ):
        source.read(0.3)


def test_letters_outside_of_ascii_in_a_path_are_encoded() -> None:
    with (
        camera(once(HEADER + part(GOOD))) as shown,
        closing(opened(shown.url.replace("video", "k\u00fcche.mjpg"))) as source,
    ):
        source.read(1.0)
    assert shown.asked[0].startswith(b"GET /k%C3%BCche.mjpg ")
