"""Fetches a model from an https address whose digest is known; what broke off goes on where it was."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO

from inferd.errors import StoreError

MOST_BYTES = 512 << 20
PIECE_BYTES = 1 << 16
TIMEOUT_S = 30.0
PARTIAL = 206

Progress = Callable[[int, int | None], None]
"""Called with how many bytes there are, and of how many (None if the server does not say)."""


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows a redirect to https only."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> urllib.request.Request | None:
        """Return the next request; None refuses, which ends as an error of that code."""
        return super().redirect_request(req, fp, code, msg, headers, newurl) if newurl.startswith("https://") else None


def fetch_from_web(url: str, sha256: str, partial: Path, progress: Progress) -> bytes:
    """Return what is at an address, checked; `partial` keeps what has come so far until all is there and right.

    Args:
        url: https only.
        sha256: what it must have, hexadecimal.
        partial: a file for this very digest, removed at the end.
        progress: hears how far it is.

    Raises:
        StoreError: it is no https address, cannot be reached, is too large, or is not what the digest says.
    """
    if urllib.parse.urlsplit(url).scheme != "https":
        raise StoreError(url, "is no https address; models are fetched over https only")
    try:
        _download(url, partial, progress)
    except urllib.error.HTTPError as exc:
        raise StoreError(url, f"the server answers {exc.code} {exc.reason}") from exc
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as exc:
        reason = getattr(exc, "reason", None) or exc
        raise StoreError(url, f"broke off ({reason}); the same command goes on where it was") from exc
    except OSError as exc:
        raise StoreError(str(partial), f"cannot be written: {exc.strerror}") from exc
    content = partial.read_bytes()
    partial.unlink()
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.lower():
        raise StoreError(url, f"is not what was asked for: its SHA-256 is {found}")
    return content


def _download(url: str, partial: Path, progress: Progress) -> None:
    partial.parent.mkdir(parents=True, exist_ok=True)
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})  # noqa: S310 - https, checked
    try:
        answer = urllib.request.build_opener(_OnlyHttps).open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as exc:
        if exc.code == 416 and have:  # noqa: PLR2004 - RFC 9110: nothing beyond what we have
            return
        raise
    with answer:
        if have and answer.status != PARTIAL:  # a server that knows no ranges begins at the beginning
            have = 0
        left = answer.headers.get("Content-Length")
        total = have + int(left) if left and left.isdecimal() else None
        with partial.open("ab" if have else "wb") as file:
            while piece := answer.read(PIECE_BYTES):
                have += len(piece)
                if have > MOST_BYTES:
                    raise StoreError(url, f"is larger than {MOST_BYTES >> 20} MB, which no model here may be")
                file.write(piece)
                progress(have, total)
        if total is not None and have < total:
            raise ConnectionError(f"{total - have:,} bytes are missing")
