"""Reads a password from a file: one reader for the agent, the doctor, the cameras and the command line."""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 4096
BOM = b"\xef\xbb\xbf"
KEY = re.compile(r"\s*[A-Za-z_]*(?:pass|pwd|secret|token)[A-Za-z_]*\s*[=:]", re.IGNORECASE)
HASHED = re.compile(r"[^:\s]+:\$\d\$")


@dataclass(frozen=True, slots=True)
class Password:
    """A password as it is sent.

    Attributes:
        text: the file without its byte order mark and the end of its last line.
        hint: what does not look like a password, without any part of it; "" if all is well.
    """

    text: str
    hint: str


def read_password(file: Path) -> Password:
    """Read a file that holds a password and nothing else; a FIFO without a writer does not block.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no regular file, too long, or no UTF-8 text; its text never quotes the content.
    """
    fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(fd, "rb") as stream:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise ValueError("it is a pipe or device and no file")
        content = stream.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise ValueError(f"it has more than {MAX_BYTES:,} bytes and so holds no password alone")
    try:
        text = content.removeprefix(BOM).decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text; save it as UTF-8") from None
    return Password(text, _hint(text))


def _hint(text: str) -> str:
    lines = len(text.splitlines())
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`"
    faults = (
        (not text, "it is empty"),
        (HASHED.match(text), "it is a file of mosquitto_passwd, which holds hashes; write the password itself"),
        (lines > 1, f"it has {lines} lines; a password is one line"),
        (KEY.match(text), "it begins with a key such as PASSWORD=; write the password alone"),
        (quoted, "it stands in quotes, which are sent as part of it; leave them out"),
        (text != text.strip(), "it begins or ends with a space, which is sent as part of it; leave it out"),
        (not text.isprintable(), "it holds a control character"),
    )
    return next((hint for holds, hint in faults if holds), "")
