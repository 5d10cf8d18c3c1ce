"""Removes from foreign JSON what could control a terminal: escape sequences, line breaks, reversed writing. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from inferd.wire.decoding import decode

# How such characters can stand in valid JSON: escaped, or (C1 controls and bidirectional marks) as UTF-8.
_SUSPICIOUS = re.compile(
    rb"\\[nrtbf]|\\u00[0189]|\\u007[fF]|\x7f|\xc2[\x80-\x9f]|\\u20[26]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_json: msgspec.json.Decoder[Any] = msgspec.json.Decoder()  # Any: any JSON


def one_line(text: str) -> str:
    """Return a text with a space for each character that could control a terminal."""
    return _CONTROL.sub(" ", text)


def one_line_json(payload: bytes) -> bytes:
    """Return JSON whose texts are printable.

    Raises:
        msgspec.DecodeError: it is not valid.
    """
    return msgspec.json.encode(_cleaned(decode(_json, payload))) if _SUSPICIOUS.search(payload) else payload


def _cleaned(value: Any) -> Any:  # Any: any JSON
    match value:
        case str():
            return one_line(value)
        case list():
            return [_cleaned(one) for one in value]
        case dict():
            return {one_line(key): _cleaned(one) for key, one in value.items()}
    return value
