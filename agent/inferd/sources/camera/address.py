"""The address of a network camera, parsed once: whatever is wrong with it is one sentence without its secrets."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import SplitResult, quote, unquote, urlsplit

from inferd.errors import SourceError
from inferd.sources.camera.http_auth import Login
from inferd.system.urls import shown_url

SCHEMES = ("rtsp", "rtsps", "http", "https")
SAFE = (
    "/%:=&?~#+!$,;'@()*[]"  # what stays as it is where a path or query is encoded; % so that nothing is encoded twice
)
LONGEST = 2048  # characters
LONGEST_HOST = 253


@dataclass(frozen=True, slots=True)
class CameraAddress:
    """An address in ASCII.

    Attributes:
        shown: for messages.
        scheme: one of SCHEMES.
        host: a name or a number, without brackets.
        port: None for the scheme's own.
        target: path and query.
        login: from the address; empty where it holds none.
    """

    shown: str
    scheme: str
    host: str
    port: int | None
    target: str
    login: Login

    def url(self, login: Login | None = None) -> str:
        """Return it whole, with a login in it where one is given."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        user = f"{quote(login.username, safe='')}:{quote(login.password, safe='')}@" if login and login.username else ""
        return f"{self.scheme}://{user}{host}{port}{self.target}"


def parse(text: str) -> CameraAddress:
    """Parse an address; letters outside of ASCII are encoded (RFC 3986 in the path, IDNA in the host).

    Raises:
        SourceError: it is not an address of a camera.
    """
    shown = shown_url(text)
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as exc:
        raise SourceError(shown, _advice(text)) from exc
    if url.scheme not in SCHEMES or not url.hostname:
        raise SourceError(shown, f"is no address of a camera; it begins with one of {', '.join(SCHEMES)} and ://")
    if len(text) > LONGEST or any(char.isspace() or not char.isprintable() for char in text):
        raise SourceError(shown, f"is no address: it has spaces, control characters or more than {LONGEST} characters")
    return CameraAddress(shown, url.scheme, _host(url, shown), port, _target(url), _login(url))


def _host(url: SplitResult, shown: str) -> str:
    host = url.hostname or ""
    try:
        ascii_host = host if ":" in host else host.encode("idna").decode("ascii")
    except UnicodeError as exc:
        raise SourceError(shown, "has a host that is no name: a part of it is empty or longer than 63 letters") from exc
    if len(ascii_host) > LONGEST_HOST or not all(char.isalnum() or char in "-._:%" for char in ascii_host):
        raise SourceError(shown, "has a host that is no name; check it")
    return ascii_host


def _target(url: SplitResult) -> str:
    path, query = (quote(part, safe=SAFE, encoding="utf-8", errors="replace") for part in (url.path, url.query))
    return (path or "/") + (f"?{query}" if query else "")


def _login(url: SplitResult) -> Login:
    return Login(unquote(url.username or ""), unquote(url.password or ""))


def _advice(text: str) -> str:
    if "@" in text:
        return "cannot be read as an address; give the login as username and password_file instead of inside of it"
    return "cannot be read as an address; check its host and port (1 to 65535)"
