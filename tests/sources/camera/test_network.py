from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from fixtures.network.cameras import HEADER, RtspServer, camera, jpegs, part, rtsp_server, says, shows, shows_then_waits
from inferd.config import settings
from inferd.errors import FrameError, FrameUnfinished, SourceError, SourceTimeout
from inferd.plugins import Source
from inferd.sources.camera.network import open_stream
from inferd.system.clock import SystemClock

PATIENT_S = 10.0


def stream(url: str, **options: object) -> Source:
    return open_stream(settings.StreamSource(url=url, **options), SystemClock())  # type: ignore[arg-type]  # right keys


def test_a_camera_shows_its_pictures_one_by_one() -> None:
    with camera(shows(*jpegs(5))) as shown, closing(stream(shown.url)) as source:
        assert [source.read(PATIENT_S).seq for _ in range(5)] == list(range(5))


def test_a_stream_that_ends_is_told() -> None:
    with camera(shows(*jpegs(1))) as shown, closing(stream(shown.url)) as source:
        source.read(PATIENT_S)
        with pytest.raises(SourceError, match="the camera has ended the stream"):
            source.read(PATIENT_S)


def test_a_picture_cut_off_by_the_next_one_costs_one_frame() -> None:
    first, second, third = jpegs(3)
    cut = HEADER + part(first) + part(second[: len(second) // 2]) + part(third)
    with camera(says(cut)) as shown, closing(stream(shown.url)) as source:
        source.read(PATIENT_S)
        with pytest.raises(FrameError, match="cut off in its middle"):
            source.read(PATIENT_S)
        assert source.read(PATIENT_S).seq == 1


def test_a_stream_that_breaks_in_a_picture_never_shows_half_of_it() -> None:
    whole = jpegs(1)[0]
    with (
        camera(says(HEADER + part(whole)[: len(whole) // 2])) as shown,
        closing(stream(shown.url)) as source,
        pytest.raises(SourceError, match="ended the stream"),
    ):
        source.read(PATIENT_S)


def test_a_silent_camera_is_a_timeout_in_the_time_that_was_allowed() -> None:
    with camera(shows_then_waits(*jpegs(1))) as shown, closing(stream(shown.url)) as source:
        source.read(PATIENT_S)
        with pytest.raises(SourceTimeout) as caught:
            source.read(0.1)
        assert not isinstance(caught.value, FrameUnfinished)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.0 401 Unauthorized\r\n\r\n", "answers 401 Unauthorized; check username and password_file"),
        (b"HTTP/1.0 404 Not Found\r\n\r\n", "answers 404 Not Found; check the address"),
        (b"HTTP/1.0 302 Found\r\nLocation: /x\r\n\r\n", "answers 302 Found; name the address that it points to"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "cannot be connected"),
        (b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<html>log in</html>", "cannot be opened"),
    ],
)
def test_whatever_else_answers_is_named(answer: bytes, told: str) -> None:
    with camera(says(answer)) as shown, pytest.raises(SourceError, match=told):
        stream(shown.url, open_timeout_s=2)


def test_a_login_is_sent_and_never_told(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    asks = b'HTTP/1.0 401 Unauthorized\r\nWWW-Authenticate: Basic realm="cam"\r\n\r\n'
    with camera(says(asks)) as shown:
        with pytest.raises(SourceError) as caught:
            stream(shown.url.replace("//", "//eve:0ther@"), username="ann", password_file=str(tmp_path / "password"))
        assert ["Authorization" in asked.decode() for asked in shown.asked] == [False, True]
        assert b"Basic YW5uOnMzY3JldA==" in shown.asked[1]
    assert not {"s3cret", "0ther", "eve"} & set(str(caught.value).replace("@", ":").replace("/", ":").split(":"))


def test_nobody_there_is_named() -> None:
    with camera(shows()) as shown:
        url = shown.url
    with pytest.raises(SourceError, match="cannot be connected"):
        stream(url)
    with pytest.raises(SourceError, match="is no address of a camera"):
        stream("cam.local/video")


@pytest.fixture
def server() -> Iterator[RtspServer]:
    with rtsp_server() as made:
        yield made


def read_on(source: Source) -> None:
    """Read until that fails."""
    for _ in range(1000):
        source.read(PATIENT_S)


@pytest.mark.slow
def test_rtsp_is_read(server: RtspServer) -> None:
    with closing(stream(server.url)) as source:
        frame = source.read(PATIENT_S)
    assert getattr(frame.data, "shape", None) == (240, 320, 3)


@pytest.mark.slow
def test_an_rtsp_server_that_is_gone_is_told(server: RtspServer) -> None:
    with closing(stream(server.url, read_timeout_s=1)) as source:
        source.read(PATIENT_S)
        server.kill()
        with pytest.raises(SourceError, match="gives no more pictures"):
            read_on(source)


@pytest.mark.slow
def test_an_rtsp_path_that_does_not_exist_is_told(server: RtspServer) -> None:
    with pytest.raises(SourceError, match="cannot be opened"):
        stream(f"{server.url}/nothing")


@pytest.mark.slow
def test_an_rtsp_camera_that_asks_for_a_digest_gets_it_from_the_file_and_the_password_is_never_told(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    password = tmp_path / "password"
    with rtsp_server(login="ann:s3cret") as server:
        password.write_text("s3cret\n")
        with closing(stream(server.url, username="ann", password_file=str(password))) as source:
            assert getattr(source.read(PATIENT_S).data, "shape", None) == (240, 320, 3)
        password.write_text("wr0ng\n")
        with pytest.raises(SourceError) as caught:
            stream(server.url, username="ann", password_file=str(password))
    told = f"{caught.value} {capfd.readouterr()}"
    assert "s3cret" not in told
    assert "wr0ng" not in told
