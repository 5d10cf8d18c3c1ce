"""Clients that are slow, many or wrong: each costs itself, and nobody else."""

from __future__ import annotations

import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress

import pytest

from inferd.config.telemetry import Http
from inferd.telemetry.prometheus.last_messages import LastMessages
from inferd.telemetry.prometheus.server import EXCHANGE_S, MAX_CLIENTS, MAX_REQUEST_BYTES, MetricsServer, response

SOON_S = 1.0


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    with closing(MetricsServer(Http(enabled=True, port=0), LastMessages())) as made:
        yield made


def healthy_in_s(server: MetricsServer) -> float:
    began = time.monotonic()
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/healthz", timeout=10) as answer:
        assert answer.status == 200
    return time.monotonic() - began


def connect(server: MetricsServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def test_clients_that_send_nothing_or_half_a_request_hold_up_nobody(server: MetricsServer) -> None:
    with ExitStack() as stack:
        for number in range(MAX_CLIENTS * 2):
            client = stack.enter_context(connect(server))
            client.sendall(b"GET /metr"[: number % 9])
        assert healthy_in_s(server) < SOON_S


def test_a_client_that_drips_is_closed_after_the_time_for_a_whole_exchange(server: MetricsServer) -> None:
    """A byte now and then starts no new time."""
    began = time.monotonic()
    with connect(server) as client, suppress(ConnectionError):
        while time.monotonic() - began < 4 * EXCHANGE_S:
            client.sendall(b"G")
            time.sleep(0.1)
    assert time.monotonic() - began < EXCHANGE_S + 2 * SOON_S


def test_a_client_that_reads_nothing_holds_up_nobody_and_not_the_end(server: MetricsServer) -> None:
    with connect(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        assert healthy_in_s(server) < SOON_S
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < SOON_S


def test_the_end_waits_for_no_client(server: MetricsServer) -> None:
    with connect(server) as client:
        client.sendall(b"GET /")
        began = time.monotonic()
        server.close()
        assert time.monotonic() - began < SOON_S
    server.close()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200),
        (b"GET /metrics?x=1 HTTP/1.0\r\n\r\n", 200),
        (b"HEAD /healthz HTTP/1.1\r\n\r\n", 200),
        (b"GET /../etc/passwd HTTP/1.1\r\n\r\n", 404),
        (b"POST /metrics HTTP/1.1\r\n\r\n", 405),
        (b"\x16\x03\x01\x02\x00\r\n\r\n", 400),
        (b"\r\n\r\n", 400),
        (b"GET /metrics HTTP/9\r\n\r\n", 400),
        (b"G" * (MAX_REQUEST_BYTES + 1), 431),
    ],
)
def test_every_request_has_an_answer(request_bytes: bytes, status: int) -> None:
    answer = response(request_bytes, LastMessages())
    assert answer.startswith(b"HTTP/1.0 %d " % status)
    assert (answer.partition(b"\r\n\r\n")[2] == b"") == request_bytes.startswith(b"HEAD")
