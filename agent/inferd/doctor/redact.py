"""Takes secrets out of what leaves the device. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from inferd.system.urls import without_logins

HIDDEN = "(hidden)"
SECRET_KEY = re.compile(
    r"pass(word|phrase|wd)?|secret|token|credential|api_?key|private_?key|\bkey\b|psk|auth", re.IGNORECASE
)
IN_LINE = re.compile(
    r"(?P<key>(?:pass(?:word|phrase|wd)?|secret|token|credential|api_?key|private_?key|psk)\w*[\"']?\s*[=:]\s*)(?:\"[^\"]*\"|'[^']*'|\S+)",
    re.IGNORECASE,
)
FILE_KEYS = ("_file", "_path")  # where a secret lies is none


def mask_table(value: Any, key: str = "") -> Any:  # Any: what TOML gives
    """Return a copy of a table in which the values of keys that are called like secrets, and logins in URLs, are hidden."""
    if SECRET_KEY.search(key) and not key.endswith(FILE_KEYS):
        return HIDDEN
    if isinstance(value, Mapping):
        return {name: mask_table(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mask_table(inner) for inner in value]  # a table in a list has keys of its own
    return without_logins(value) if isinstance(value, str) else value


def mask_text(text: str) -> str:
    """Return a text with addresses without their logins, and values after words like password= hidden."""
    return IN_LINE.sub(rf"\g<key>{HIDDEN}", without_logins(text))


def mask_sentences(value: Any) -> Any:  # Any: what JSON gives
    """Return a copy in which every text is masked; keys stay, for these are words of our own."""
    if isinstance(value, Mapping):
        return {key: mask_sentences(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [mask_sentences(inner) for inner in value]
    return mask_text(value) if isinstance(value, str) else value
