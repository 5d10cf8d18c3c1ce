"""/metrics and /healthz over HTTP/1.0, for Prometheus and service monitors. On 127.0.0.1 unless configured otherwise.

All clients are served by one thread without waiting for any of them, each whole exchange within EXCHANGE_S: with one blocking
client after the other, one that sends a byte a second kept /healthz, a reload and the stop waiting.
"""

from __future__ import annotations

import logging
import selectors
import socket
from http import HTTPStatus

import msgspec

from inferd.config.telemetry import Http
from inferd.errors import LinkError
from inferd.system.clock import Clock, SystemClock
from inferd.system.threads import join_all, start
from inferd.system.wakeup import Wakeup
from inferd.telemetry.prometheus.exposition import PROTOBUF_TYPE, TEXT_TYPE, protobuf, text
from inferd.telemetry.prometheus.last_messages import LastMessages

log = logging.getLogger(__name__)

EXCHANGE_S = 2.0  # from accept to the last byte of the answer
MAX_CLIENTS = 16  # the oldest is closed for a newer one
MAX_REQUEST_BYTES = 8_192
RECV_BYTES = 4_096
TURN_S = 0.2
CLOSE_S = 0.5
UNHEALTHY = ("failed",)


class HttpClient:
    """One exchange: a request that comes in, an answer that goes out."""

    def __init__(self, connected: socket.socket, ends_ns: int) -> None:
        """Serve a connection until `ends_ns`, monotonic."""
        self.socket = connected
        self.ends_ns = ends_ns
        self.request = bytearray()
        self.response = b""


class MetricsServer:
    """Serves on a thread of its own from its construction to `close`."""

    def __init__(self, settings: Http, messages: LastMessages, clock: Clock | None = None) -> None:
        """Listen.

        Raises:
            LinkError: the address cannot be listened on.
        """
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        try:
            self._listener = socket.create_server((settings.host, settings.port), family=family)
        except (OSError, UnicodeError) as exc:
            address = f"http {settings.host}:{settings.port}"
            why = f"cannot listen there ({getattr(exc, 'strerror', None) or exc}); set http.port to a free port"
            raise LinkError(address, why) from exc
        self.port = int(self._listener.getsockname()[1])
        self._messages = messages
        self._clock = clock or SystemClock()
        self._clients: list[HttpClient] = []
        self._wakeup = Wakeup()
        self._closing = False
        self._listener.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._wakeup, selectors.EVENT_READ)
        self._thread = start("http", self._serve)

    def close(self) -> None:
        """Stop listening. Idempotent."""
        self._closing = True
        self._wakeup.set()
        join_all([self._thread], CLOSE_S)

    def _serve(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(TURN_S):
                if key.fileobj is self._listener:
                    self._accept()
                elif isinstance(key.data, HttpClient):
                    self._advance(key.data)
            now_ns = self._clock.monotonic_ns()
            for client in [client for client in self._clients if client.ends_ns < now_ns]:
                self._drop(client)
        for client in self._clients[:]:
            self._drop(client)
        self._selector.close()
        self._listener.close()
        self._wakeup.close()

    def _accept(self) -> None:
        try:
            connected, _ = self._listener.accept()
        except OSError as exc:  # it has gone, or there are no descriptors left; whoever waits is accepted later
            log.debug("http: accept: %s", exc)
            self._wakeup.wait(TURN_S)
            return
        if len(self._clients) >= MAX_CLIENTS:
            self._drop(self._clients[0])
        connected.setblocking(False)
        client = HttpClient(connected, self._clock.monotonic_ns() + round(EXCHANGE_S * 1e9))
        self._clients.append(client)
        self._selector.register(connected, selectors.EVENT_READ, client)

    def _advance(self, client: HttpClient) -> None:
        """Read or write what is possible now."""
        try:
            if not client.response:
                self._read(client)
            if client.response:
                client.response = client.response[client.socket.send(client.response) :]
                if not client.response:
                    self._drop(client)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)

    def _read(self, client: HttpClient) -> None:
        received = client.socket.recv(RECV_BYTES)
        client.request += received
        if not received:
            self._drop(client)
        elif b"\r\n\r\n" in client.request or len(client.request) > MAX_REQUEST_BYTES:
            client.response = response(bytes(client.request), self._messages)
            self._selector.modify(client.socket, selectors.EVENT_WRITE, client)

    def _drop(self, client: HttpClient) -> None:
        if client in self._clients:
            self._clients.remove(client)
            self._selector.unregister(client.socket)
            client.socket.close()


def response(request: bytes, messages: LastMessages) -> bytes:
    """Return the whole answer to a request; `request` ends after its headers."""
    if len(request) > MAX_REQUEST_BYTES:
        return _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "text/plain", b"the request is too large\n")
    line, _, headers = request.partition(b"\r\n")
    match line.split(b" "):
        case [(b"GET" | b"HEAD") as method, target, version] if version.startswith(b"HTTP/1."):
            found = _page(target.partition(b"?")[0], headers, messages)
            return found if method == b"GET" else found[: found.index(b"\r\n\r\n") + 4]
        case [_, _, version] if version.startswith(b"HTTP/1."):
            return _response(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"there are GET and HEAD\n")
    return _response(HTTPStatus.BAD_REQUEST, "text/plain", b"this is no HTTP request\n")


def _page(path: bytes, headers: bytes, messages: LastMessages) -> bytes:
    match path:
        case b"/metrics":
            native = b"application/vnd.google.protobuf" in headers
            families = messages.families()
            body = (protobuf if native else text)(families)
            return _response(HTTPStatus.OK, PROTOBUF_TYPE if native else TEXT_TYPE, body)
        case b"/healthz":
            state = messages.state
            status = HTTPStatus.SERVICE_UNAVAILABLE if state in UNHEALTHY else HTTPStatus.OK
            return _response(status, "application/json", msgspec.json.encode({"state": state}))
    return _response(HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics and /healthz\n")


def _response(status: HTTPStatus, kind: str, body: bytes) -> bytes:
    head = f"HTTP/1.0 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode("ascii") + body
