"""Decodes bytes that came from outside: whatever is wrong with them, one kind of error comes of it."""

from __future__ import annotations

from typing import Protocol, TypeVar

import msgspec

T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """A decoder of msgspec's, for JSON or msgpack."""

    def decode(self, buf: bytes, /) -> T_co:
        """Return the value in `buf`."""


def decode(decoder: Decoder[T_co], content: bytes) -> T_co:
    """Return what `content` holds.

    msgspec raises RecursionError for values nested about 1,000 deep, UnicodeDecodeError for text that is not UTF-8, and
    ValueError for some numbers, none of which is an error of its own (msgspec 0.21, 2026).

    Raises:
        msgspec.DecodeError: it is not valid, for whatever reason.
    """
    try:
        return decoder.decode(content)
    except msgspec.MsgspecError:
        raise
    except RecursionError:
        raise msgspec.DecodeError("it is nested too deeply") from None
    except Exception as exc:
        raise msgspec.DecodeError(f"it cannot be decoded ({type(exc).__name__}: {exc})") from exc
