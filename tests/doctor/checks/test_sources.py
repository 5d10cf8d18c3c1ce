"""Cameras on the network, recordings and device files, judged on real ones."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from fixtures.machines.boards import CONFIG, Board, pi4
from inferd.bundled_files import bundled
from inferd.doctor.check import DoctorReport
from inferd.doctor.checks.sources import CameraFacts, judge_not_a_camera
from inferd.doctor.readers.hardware import may_be_camera
from inferd.doctor.readers.network_camera import ask_camera
from inferd.doctor.readers.recordings import truncated
from inferd.doctor.registry import CHECKS
from inferd.doctor.runner import examine

VIDEO = 'kind = "video", path = "/var/lib/inferd/models/digits/clip.avi"'


@contextmanager
def answering(*answers: bytes) -> Iterator[int]:
    """Answer each connection with the next of these, whatever it asks; give the port."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(5)

        def serve() -> None:
            for answer in answers:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(4096)
                    peer.sendall(answer)

        thread = threading.Thread(target=serve, name="camera", daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.close()
        thread.join(5)


def report(folder: Path, url: str) -> DoctorReport:
    board: Board = pi4(folder)
    board.configure(CONFIG.replace(VIDEO, f'kind = "stream", url = "{url}"'))
    return examine(board.world(), CHECKS)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=x\r\n\r\n", "refuses the login (status 401)"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "refuses the login (status 403)"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "has no such stream"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", "refuses (status 503)"),
        (b"", "closed the connection without an answer"),
        (b"\xff\x00garbage\r\n\r\n", "closed the connection without an answer"),
    ],
)
def test_a_camera_that_refuses_is_named_with_its_answer_and_without_its_login(
    answer: bytes, sentence: str, tmp_path: Path
) -> None:
    with answering(answer, answer) as port:
        (finding,) = report(tmp_path, f"http://127.0.0.1:{port}/cam?usr=admin&pwd=secret").findings
    assert finding.id == "sources.stream"
    assert sentence in finding.what
    assert "secret" not in f"{finding}"


def test_an_rtsp_camera_is_asked_to_describe_its_stream(tmp_path: Path) -> None:
    with answering(b"RTSP/1.0 404 Not Found\r\nCSeq: 1\r\n\r\n") as port:
        (finding,) = report(tmp_path, f"rtsp://127.0.0.1:{port}/live").findings
    assert "status 404" in finding.what


def test_a_camera_that_accepts_is_well(tmp_path: Path) -> None:
    with answering(b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\n\r\n") as port:
        assert report(tmp_path, f"http://127.0.0.1:{port}/cam").findings == ()


def test_a_camera_that_never_answers_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        answer = ask_camera(f"http://127.0.0.1:{server.getsockname()[1]}/", "", "", 0.3)
    assert answer is not None
    assert answer.code == 0


@pytest.mark.parametrize(
    "url", ["http://[::1/x", "http://h:99999/x", "http:///x", "rtp://h/x", "http://a" + "b" * 300 + "/x"]
)
def test_odd_addresses_end_in_a_reason_or_in_none(url: str) -> None:
    answer = ask_camera(url, "küche", "pässword", 0.3)
    assert answer is None or (answer.code == 0 and answer.reason)


def test_a_device_of_another_kind_is_no_camera() -> None:
    assert not may_be_camera(Path("/dev/null"))
    facts = CameraFacts("cam", "/dev/null", True, (), "inferd", "", None, is_camera=False)
    (problem,) = judge_not_a_camera((facts,))
    assert problem.what == "the camera of pipeline cam is another kind of device"  # check "sources.not-a-camera"


def test_a_recording_is_whole_or_lacks_its_end(tmp_path: Path) -> None:
    clip = bundled("digits") / "clip.avi"
    cut = tmp_path / "cut.avi"
    cut.write_bytes(clip.read_bytes()[:50_000])
    assert truncated(clip) == ""
    assert truncated(cut).startswith("lacks its last ")
    head = (24).to_bytes(4, "big") + b"ftypisom" + bytes(12)
    for content, fact in (
        (head + (100).to_bytes(4, "big") + b"mdat" + bytes(92), "no index"),
        (head + (100).to_bytes(4, "big") + b"moov" + bytes(50), "lacks its last 42 bytes"),
        (head + (3).to_bytes(4, "big") + b"free", "damaged"),
        (b"", "empty"),
    ):
        cut.write_bytes(content)
        assert fact in truncated(cut)
    cut.write_bytes(head + (8).to_bytes(4, "big") + b"moov")
    assert truncated(cut) == ""


@pytest.mark.parametrize("url", ["rtsp://admin:pa/s3cret@cam/live", "http://cam:s3cret/x", "http://[s3cret/x"])
def test_a_malformed_address_is_told_without_its_secrets(url: str) -> None:
    answer = ask_camera(url, "", "", 1.0)
    assert answer is not None
    assert (answer.code, "s3cret" in answer.reason) == (0, False)
