"""Whatever foreign bytes are, decoding them gives a value or one kind of error."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inferd.wire.decoding import decode
from inferd.wire.requests import Request
from inferd.wire.telemetry import Header, Metrics
from inferd.wire.terminal_text import one_line, one_line_json

DEPTH = 20_000  # Python 3.13 follows 10,000 levels, 3.11 a thousand
DEEP = b'{"id": "a", "data": ' + b"[" * DEPTH + b"]" * DEPTH + b"}"
DECODERS = [msgspec.json.Decoder(kind) for kind in (Request, Header, Metrics, object)]


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("payload", [DEEP, b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"", b'{"id": "\xff"}'])
def test_what_is_nested_or_no_text_is_one_kind_of_error(decoder: msgspec.json.Decoder[object], payload: bytes) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(decoder, payload)


@settings(deadline=None)  # a busy machine is no fault
@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_that_error(payload: bytes) -> None:
    for decoder in DECODERS:
        with contextlib.suppress(msgspec.MsgspecError):
            decode(decoder, payload)


def test_texts_lose_what_could_control_a_terminal() -> None:
    dirty = msgspec.json.encode({"a\x1b": ["\x1b[2Jgone", "line\nbreak", "\u202eabc", {"b": "\x9b31m"}], "n": 1})
    assert b"\x1b" not in one_line_json(dirty)
    assert msgspec.json.decode(one_line_json(dirty)) == {
        "a ": [" [2Jgone", "line break", " abc", {"b": " 31m"}],
        "n": 1,
    }


@settings(deadline=None)  # a busy machine is no fault
@given(st.text())
def test_one_line_json_and_printable_agree(text: str) -> None:
    try:
        payload = msgspec.json.encode(text)
    except UnicodeEncodeError:
        return
    assert msgspec.json.decode(one_line_json(payload)) == one_line(text)
