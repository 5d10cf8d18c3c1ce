"""How an address is shown in logs, states and bundles: scheme, host, port and path, and nothing that may be a secret."""

from __future__ import annotations

import re

CUT = "..."
MOST_SHOWN = 200  # characters of an address
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s\"'<>]+")
_PORT = re.compile(r":\d{1,5}")
_HOST = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^/?#:@\[\]]*)(.*)", re.DOTALL)
_PATH = re.compile(r"[^?#]*")
_PARAMETERS = re.compile(r"[;&=].*", re.DOTALL)


def shown_url(url: str) -> str:
    """Return an address without login, parameters, query and fragment; `...` marks what was cut out of it.

    A password may hold any character, so all before the last "@" is taken for a login, wherever that stands. Cameras also
    take logins as parameters inside the path (/user=admin&password=...), so a segment of the path ends before its first.
    """
    scheme, found, rest = url.partition("://")
    if not found:
        scheme, rest = "", url
    before, login, rest = rest.rpartition("@")
    host, rest = _split(rest)
    port = _PORT.match(rest)
    rest = rest[port.end() :] if port else rest
    segments = _path(rest).split("/")
    path = "/".join(_PARAMETERS.sub(CUT, segment) for segment in segments)
    hidden = f"{CUT}@" if login and any(mark in before for mark in "/?#") else ""
    shown = f"{scheme}{found}{hidden}{host}{port[0] if port else ''}{path}"
    printable = "".join(char if char.isprintable() else "?" for char in shown)
    return printable if len(printable) <= MOST_SHOWN else printable[:MOST_SHOWN] + CUT


def without_logins(text: str) -> str:
    """Return a text of another program with every address in it as `shown_url` shows it."""
    return _URL.sub(lambda url: shown_url(url[0]), text)


def _split(rest: str) -> tuple[str, str]:
    found = _HOST.match(rest)
    return (found[1], found[2]) if found else ("", rest)


def _path(rest: str) -> str:
    """Return the path; "" where what follows the host is no port and no path: it may be half a login."""
    found = _PATH.match(rest)
    path = found[0] if found else ""
    return path if path.startswith("/") else ""
