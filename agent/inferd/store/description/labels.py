"""Label files. Pure: bytes in, labels out.

Two styles are in use. Plain: line n is the label of output n. Numbered (Coral's detection models): `id label`, where
ids may leave gaps. A line that is empty or holds only ???, n/a or - is a gap: no such class, label "".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from inferd.errors import ModelError

LABELS_MAX_BYTES = 1 << 20
LABELS_MAX = 100_000
LABEL_MAX_CHARACTERS = 500  # ImageNet's longest has 131
GAPS = frozenset({"", "???", "n/a", "-"})
NUMBERED = re.compile(r"(\d{1,9})(?:\s*:\s*|\s+)(\S.*)")


@dataclass(frozen=True, slots=True)
class ParsedLabels:
    """Labels by position; "" is a gap. `numbered` files may end before the model's last output."""

    texts: tuple[str, ...]
    numbered: bool = False


def parse_labels(part: str, content: bytes) -> ParsedLabels:
    """Read a label file.

    A file is numbered when every line that is not empty begins with a whole number, a label follows it, and the numbers
    rise; else it is plain.

    Args:
        part: the file to name in errors.
        content: UTF-8, with or without byte order mark; any line ends.

    Raises:
        ModelError: it is too large, no text, or has no label.
    """
    if len(content) > LABELS_MAX_BYTES:
        raise ModelError(part, f"has {len(content):,} bytes; a label file has at most {LABELS_MAX_BYTES:,}")
    lines = _lines(part, content)
    numbered = _numbered(lines)
    texts = _spread(part, numbered) if numbered else tuple("" if is_gap(line) else line for line in lines)
    if not any(texts):
        raise ModelError(part, "holds no label; write one label per line")
    return ParsedLabels(texts, bool(numbered))


def given_labels(part: str, texts: Sequence[str]) -> ParsedLabels:
    """Return labels that a manifest lists itself.

    Raises:
        ModelError: one is too long or cannot be printed.
    """
    cleaned = tuple(_clean(part, number, text) for number, text in enumerate(texts, 1))
    return ParsedLabels(tuple("" if is_gap(text) else text for text in cleaned))


def is_gap(text: str) -> bool:
    """Whether a line says that there is no such class."""
    return text.lower() in GAPS


def _lines(part: str, content: bytes) -> list[str]:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ModelError(part, f"is not UTF-8 text (byte {exc.start:,}); save it as UTF-8") from exc
    lines = re.split(r"\r\n|\r|\n", text)
    if len(lines) > LABELS_MAX + 1:
        raise ModelError(part, f"has {len(lines):,} lines; a label file has at most {LABELS_MAX:,}")
    cleaned = [_clean(part, number, line) for number, line in enumerate(lines, 1)]
    while cleaned and not cleaned[-1]:
        cleaned.pop()
    return cleaned


def _clean(part: str, number: int, line: str) -> str:
    text = line.replace("\t", " ").strip()
    if not text.isprintable():  # a label is printed in terminals: no escape codes
        raise ModelError(part, f"line {number} holds a character that cannot be printed; remove it")
    if len(text) > LABEL_MAX_CHARACTERS:
        raise ModelError(
            part, f"line {number} has {len(text):,} characters; a label has at most {LABEL_MAX_CHARACTERS}"
        )
    return text


def _numbered(lines: list[str]) -> list[tuple[int, str]]:
    """Return (id, label) pairs, [] where the file is plain."""
    matches = [NUMBERED.fullmatch(line) for line in lines if line]
    pairs = [(int(match[1]), match[2]) for match in matches if match]
    rising = all(before[0] < after[0] for before, after in pairwise(pairs))
    return pairs if len(pairs) == len(matches) and rising else []


def _spread(part: str, pairs: list[tuple[int, str]]) -> tuple[str, ...]:
    highest = pairs[-1][0]
    if highest >= LABELS_MAX:
        raise ModelError(part, f"numbers a label {highest:,}; the highest number is {LABELS_MAX - 1:,}")
    texts = [""] * (highest + 1)
    for number, text in pairs:
        texts[number] = "" if is_gap(text) else text
    return tuple(texts)
