"""Text from outside (file names, device names, errors of libraries) as text that every encoder and terminal accepts."""

from __future__ import annotations

import os
import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line feed


def printable(text: str | os.PathLike[str]) -> str:
    r"""Return a text with an escape such as `\xfc` for each byte that is not UTF-8 and each control character.

    Python represents such bytes of names by lone surrogates, which UTF-8, JSON and MessagePack encoders refuse. Use the
    original to open a file, and this to write about it.
    """
    raw = os.fspath(text)
    if raw.isprintable():  # False for surrogates
        return raw
    try:
        safe = raw.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # a surrogate that does not stand for a byte
        safe = raw.encode("utf-8", "backslashreplace").decode("utf-8")
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", safe)
