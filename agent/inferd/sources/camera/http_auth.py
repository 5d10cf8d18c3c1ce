"""Who we are to a camera that is asked over HTTP: Digest (RFC 7616) where it offers that, else Basic, and only when it asks."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.request import HTTPDigestAuthHandler, HTTPPasswordMgr, Request, parse_http_list, parse_keqv_list

ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}  # of RFC 7616; the standard library of Python 3.11 has no SHA-256


class Login:
    """A name and a password, and how the camera wanted to hear them. Owned by one source thread.

    A password is sent as it is only to a camera that offers nothing but Basic: use https for such a one.
    """

    def __init__(self, username: str = "", password: str = "") -> None:
        """Take them; `username` is "" where the camera does not ask."""
        self.username = username
        self.password = password
        self._header: Callable[[str], str] | None = None

    def headers(self, url: str) -> dict[str, str]:
        """Return what is sent with a request for `url`: nothing before the camera asked."""
        return {} if self._header is None else {"Authorization": self._header(url)}

    def take(self, offers: Sequence[str]) -> bool:
        """Take what a camera that answers 401 offers, the safest of it; return whether we can answer.

        Args:
            offers: its WWW-Authenticate headers.
        """
        self._header = None
        if self.username:
            digests = [asked for offer in offers if (asked := _digest(offer)) is not None]
            if digests:
                best = max(digests, key=lambda asked: list(ALGORITHMS).index(asked.get("algorithm", "MD5").upper()))
                answers = _Digest(self.username, self.password)
                self._header = lambda url: f"Digest {answers.get_authorization(_unopened(url), best)}"
            elif any(offer.lower().startswith("basic") for offer in offers):
                plain = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
                self._header = lambda _: f"Basic {plain}"
        return self._header is not None


def _unopened(url: str) -> Request:
    """Return what the standard library reads an address out of."""
    return Request(url)  # noqa: S310 - never opened


class _Digest(HTTPDigestAuthHandler):
    """The standard library's answers, with SHA-256 beside MD5; it counts how often a nonce was used."""

    def __init__(self, username: str, password: str) -> None:
        super().__init__(_Always(username, password))

    def get_algorithm_impls(self, algorithm: str) -> Any:  # Any: as the standard library has it
        name = ALGORITHMS[algorithm.upper()]

        def digest(text: str) -> str:
            return hashlib.new(name, text.encode(), usedforsecurity=False).hexdigest()

        return digest, lambda secret, text: digest(f"{secret}:{text}")


class _Always(HTTPPasswordMgr):
    """Knows one login for everything."""

    def __init__(self, username: str, password: str) -> None:
        super().__init__()
        self._login = username, password

    def find_user_password(self, realm: str, authuri: str) -> tuple[str, str]:  # noqa: ARG002 - its shape is given
        return self._login


def _digest(offer: str) -> dict[str, str] | None:
    """Return what a header asks for, where it is Digest of a kind that we can answer."""
    scheme, _, rest = offer.partition(" ")
    if scheme.lower() != "digest":
        return None
    try:
        asked = parse_keqv_list(parse_http_list(rest))
    except ValueError:
        return None
    known = asked.get("algorithm", "MD5").upper() in ALGORITHMS and {"realm", "nonce"} <= asked.keys()
    if not known or "auth" not in asked.get("qop", "auth").replace(" ", "").split(","):
        return None
    return {**asked, "qop": "auth"} if "qop" in asked else asked
