"""Bounded types for the keys of a configuration or manifest, so that no value outside sense gets past decoding.

`Meta(description=...)` is what an error says of a text that does not match its pattern. NaN fits no bound, infinity none
that has an end.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
LONGEST_TEXT = 4096
PLAIN = r"\A[^\x00-\x1f\x7f]*\Z"

Share = Annotated[float, Meta(ge=0, le=1)]
Finite = Annotated[float, Meta(ge=-1e12, le=1e12)]
Rate = Annotated[float, Meta(ge=0, le=10e6)]
"""Per second; 0 leaves it to what the key's description says."""
FrameRate = Annotated[float, Meta(ge=0, le=1000)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Pixels = Annotated[int, Meta(ge=0, le=16_384)]
Samples = Annotated[int, Meta(ge=0, le=16_000_000)]
Megabytes = Annotated[float, Meta(ge=0, le=1e7)]
WholeMegabytes = Annotated[int, Meta(ge=0, le=10_000_000)]
Watts = Annotated[float, Meta(ge=0, le=1000)]

Text = Annotated[str, Meta(max_length=LONGEST_TEXT, pattern=PLAIN, description="a text without control characters")]
Argument = Annotated[str, Meta(max_length=LONGEST_TEXT, pattern=r"\A[^\x00]*\Z", description="a text without NUL")]
"""Of a program; line feeds are welcome, as in a script."""
FilePath = Annotated[
    str,
    Meta(max_length=LONGEST_TEXT, pattern=PLAIN, description="a path without control characters", extra={"path": True}),
]
"""A file or folder; in a configuration relative to the file that names it, and `~` is expanded."""
ModelName = Annotated[
    str,
    Meta(
        max_length=LONGEST_TEXT,
        pattern=PLAIN,
        description="a name or path without control characters",
        extra={"path": "/"},
    ),
]
"""A `FilePath` where it holds a slash or ends like a model's file, else a name."""
Name = Annotated[
    str, Meta(min_length=1, max_length=100, pattern=PLAIN, description="a name without control characters")
]
TopicPrefix = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=1000,
        pattern=r"\A[^\x00-\x1f\x7f+#]+\Z",
        description="the beginning of a topic, without + and #",
    ),
]
_LABEL = r"[^\x00-\x20\x7f/@:\[\].]{1,63}"
Host = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=253,
        pattern=rf"\A(?:{_LABEL}(?:\.{_LABEL})*\.?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*:[^\x00-\x20\x7f/@\[\]]*)\Z",
        description="a host name or an address alone: no mqtt://, no user, no port",
    ),
]
Port = Annotated[int, Meta(ge=1, le=65_535)]
Url = Annotated[
    str,
    Meta(
        max_length=LONGEST_TEXT,
        pattern=r"\A[A-Za-z][A-Za-z0-9+.-]*://[^\x00-\x20\x7f]+\Z",
        description="an address such as rtsp://HOST/PATH, without spaces (a space is written %20)",
    ),
]
