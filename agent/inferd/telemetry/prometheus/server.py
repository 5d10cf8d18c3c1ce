"""/metrics and /healthz over HTTP, for Prometheus and for whoever restarts what is ill. On 127.0.0.1 unless told otherwise."""

from __future__ import annotations

import logging
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer

import msgspec

from inferd.config.telemetry import Http
from inferd.errors import LinkError
from inferd.system.threads import join_all, start
from inferd.telemetry.prometheus.exposition import PROTOBUF_TYPE, TEXT_TYPE, protobuf, text
from inferd.telemetry.prometheus.last_messages import LastMessages

log = logging.getLogger(__name__)

PATIENCE_S = 2.0  # with a client that asks slowly; one is served at a time
LOOK_S = 0.2
CLOSE_S = 0.3
ILL = ("failed",)


class HttpDoor:
    """Serves on a thread of its own from its construction to `close`."""

    def __init__(self, settings: Http, echo: LastMessages) -> None:
        """Listen.

        Raises:
            LinkError: the address cannot be listened on.
        """

        class Request(MetricsRequestHandler):
            said = echo

        try:
            self._server = HTTPServer((settings.host, settings.port), Request)
        except OSError as exc:
            where = f"http {settings.host}:{settings.port}"
            raise LinkError(
                where, f"nobody can be served there ({exc.strerror}); set http.port to a free port"
            ) from exc
        self.port = int(self._server.server_address[1])
        self._thread = start("http", lambda: self._server.serve_forever(LOOK_S))

    def close(self) -> None:
        """Stop listening. Twice is fine."""
        self._server.shutdown()
        self._server.server_close()
        join_all([self._thread], CLOSE_S)


class MetricsRequestHandler(BaseHTTPRequestHandler):
    """Answers one request; runs on the door's thread."""

    said: LastMessages
    timeout = PATIENCE_S
    server_version = "inferd"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer."""
        match self.path.partition("?")[0]:
            case "/metrics":
                native = "application/vnd.google.protobuf" in self.headers.get("Accept", "")
                told = self.said.families()
                self._send(HTTPStatus.OK, PROTOBUF_TYPE if native else TEXT_TYPE, (protobuf if native else text)(told))
            case "/healthz":
                state = self.said.state
                status = HTTPStatus.SERVICE_UNAVAILABLE if state in ILL else HTTPStatus.OK
                self._send(status, "application/json", msgspec.json.encode({"state": state}))
            case _:
                self._send(HTTPStatus.NOT_FOUND, "text/plain", b"there are /metrics and /healthz\n")

    do_HEAD = do_GET  # noqa: N815 - http.server's name

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's signature
        """Say nothing unless somebody looks for it: a scrape is no event."""
        log.debug("http %s: %s", self.client_address[0], format % args)

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
