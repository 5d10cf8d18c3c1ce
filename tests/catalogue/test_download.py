"""Fetching over https, from a server of our own with a certificate of our own."""

from __future__ import annotations

import hashlib
import http.server
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inferd.catalogue.download import fetch_from_web
from inferd.errors import StoreError

CONTENT = bytes(range(256)) * 2000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    url: str
    breaks_after: int = 0
    knows_ranges: bool = True
    redirect: str = ""
    asked: list[str] = field(default_factory=list)

    def answer(self, request: http.server.BaseHTTPRequestHandler) -> None:
        wanted = request.headers.get("Range", "")
        self.asked.append(wanted)
        if self.redirect:
            request.send_response(302)
            request.send_header("Location", self.redirect)
            request.end_headers()
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.knows_ranges else 0
        request.send_response(206 if start else 200)
        request.send_header("Content-Length", str(len(CONTENT) - start))
        request.end_headers()
        request.wfile.write(CONTENT[start : self.breaks_after or None])


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    if shutil.which("openssl") is None:
        pytest.skip("there is no openssl to make a certificate with; apt-get install openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "1")
    made = ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, *subject)
    subprocess.run(made, check=True, capture_output=True)
    monkeypatch.setenv(
        "SSL_CERT_FILE", str(certificate)
    )  # whom this process trusts: the environment's own way to say it

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("localhost", 0), Handler) as listening:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        listening.socket = context.wrap_socket(listening.socket, server_side=True)
        told = Server(f"https://localhost:{listening.server_address[1]}/door.tflite")
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield told
        listening.shutdown()


def fetch(server: Server, folder: Path, sha256: str = SHA256) -> bytes:
    return fetch_from_web(server.url, sha256, folder / "part", lambda _have, _total: None)


def test_a_model_comes_whole_and_leaves_nothing_behind(server: Server, tmp_path: Path) -> None:
    assert fetch(server, tmp_path) == CONTENT
    assert not (tmp_path / "part").exists()


def test_progress_is_told_up_to_the_end(server: Server, tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    fetch_from_web(server.url, SHA256, tmp_path / "part", lambda *now: told.append(now))
    assert told[-1] == (len(CONTENT), len(CONTENT))


def test_what_broke_off_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.breaks_after = 200_000
    with pytest.raises(StoreError, match="the same command goes on where it was"):
        fetch(server, tmp_path)
    server.breaks_after = 0
    assert fetch(server, tmp_path) == CONTENT
    assert server.asked == ["", "bytes=200000-"]


def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(CONTENT[:1000])
    server.knows_ranges = False
    assert fetch(server, tmp_path) == CONTENT


def test_another_content_is_refused_and_not_kept(server: Server, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=f"its SHA-256 is {SHA256}"):
        fetch(server, tmp_path, "0" * 64)
    assert not (tmp_path / "part").exists()


def test_a_redirect_away_from_https_is_refused(server: Server, tmp_path: Path) -> None:
    server.redirect = "http://localhost/door.tflite"
    with pytest.raises(StoreError, match="302"):
        fetch(server, tmp_path)


def test_a_server_that_nobody_vouches_for_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
        fetch(server, tmp_path)


def test_plain_http_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="https only"):
        fetch_from_web("http://localhost/x.tflite", SHA256, tmp_path / "part", lambda _have, _total: None)
