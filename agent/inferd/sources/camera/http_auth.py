"""HTTP authentication: Digest (RFC 7616) where a camera offers it, else Basic, and only on request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from urllib.request import HTTPDigestAuthHandler, HTTPPasswordMgr, Request, parse_http_list, parse_keqv_list

ALGORITHMS = {"MD5": "md5", "SHA-256": "sha256"}  # of RFC 7616; the standard library of Python 3.11 has no SHA-256


class Login:
    """A user name, a password, and the scheme the camera asked for. Owned by one source thread.

    The password is sent in clear only to a camera that offers nothing but Basic: use https for it.
    """

    def __init__(self, username: str = "", password: str = "") -> None:
        """`username` is "" for none."""
        self.username = username
        self.password = password
        self._header: Callable[[str], str] | None = None

    def headers(self, url: str) -> dict[str, str]:
        """Return the headers for a request of `url`: none before a challenge."""
        return {} if self._header is None else {"Authorization": self._header(url)}

    def accept(self, offers: Sequence[str]) -> bool:
        """Accept the safest challenge of a 401 answer; return whether there is one we can answer.

        Args:
            offers: its WWW-Authenticate headers.
        """
        self._header = None
        if self.username:
            digests = [asked for offer in offers if (asked := _digest(offer)) is not None]
            if digests:
                best = max(digests, key=lambda asked: list(ALGORITHMS).index(asked.get("algorithm", "MD5").upper()))
                answers = _Digest(self.username, self.password)
                self._header = lambda url: f"Digest {answers.get_authorization(_as_request(url), best)}"
            elif any(offer.lower().startswith("basic") for offer in offers):
                plain = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
                self._header = lambda _: f"Basic {plain}"
        return self._header is not None


def _as_request(url: str) -> Request:
    """Return a request for the standard library's Digest code, never opened."""
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
    """Returns one login for everything."""

    def __init__(self, username: str, password: str) -> None:
        super().__init__()
        self._login = username, password

    def find_user_password(self, realm: str, authuri: str) -> tuple[str, str]:  # noqa: ARG002 - its shape is given
        return self._login


def _digest(offer: str) -> dict[str, str] | None:
    """Return the parameters of a Digest challenge that we can answer, else None."""
    scheme, _, rest = offer.partition(" ")
    if scheme.lower() != "digest":
        return None
    try:
        asked = parse_keqv_list(parse_http_list(rest))
    except (ValueError, IndexError):
        return None
    known = asked.get("algorithm", "MD5").upper() in ALGORITHMS and {"realm", "nonce"} <= asked.keys()
    if not known or "auth" not in asked.get("qop", "auth").replace(" ", "").split(","):
        return None
    return {**asked, "qop": "auth"} if "qop" in asked else asked
