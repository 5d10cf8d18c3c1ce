"""Reads label files. Pure: bytes in, labels out. Formats other than lines of text: `label_formats.py`.

Lines of text come in two styles. Plain: line n is the label of output n. Numbered (Coral's detection models): `id label`,
where ids may leave gaps. A line that is empty or holds only ???, n/a or - is a gap: no such class, label "".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from inferd.errors import ModelError
from inferd.store.description.label_formats import read_structured

LABELS_MAX_BYTES = 1 << 20
LABELS_MAX = 100_000
LABEL_MAX_CHARACTERS = 500  # ImageNet's longest has 131
GAPS = frozenset({"", "???", "n/a", "-"})
BACKGROUND = frozenset({"", "background", "__background__", "_background_"})
NUMBERED = re.compile(r"(\d{1,9})(?:\s*:\s*|\s+)(\S.*)")


@dataclass(frozen=True, slots=True)
class ParsedLabels:
    """Labels by position; "" is a gap. `numbered` if the file gives an id with each label."""

    texts: tuple[str, ...]
    numbered: bool = False

    @property
    def starts_with_background(self) -> bool:
        """Whether the first entry names no class: a gap, or "background"."""
        return self.texts[0].lower() in BACKGROUND


def parse_labels(part: str, content: bytes) -> ParsedLabels:
    """Read a label file: lines of text, or the JSON, YAML, pbtxt or CSV that training tools write.

    A file of lines is numbered if every line that is not empty begins with a whole number and a label follows it.

    Args:
        part: the file, named in errors; its suffix may name the format.
        content: UTF-8, with or without byte order mark; any line ends.

    Raises:
        ModelError: it is too large, no text, has no label, or its numbers are in no order.
    """
    if len(content) > LABELS_MAX_BYTES:
        raise ModelError(part, f"has {len(content):,} bytes; a label file has at most {LABELS_MAX_BYTES:,}")
    text = _decode(part, content)
    structured = read_structured(part, text)
    if isinstance(structured, Mapping):
        labels = ParsedLabels(_by_number(part, structured), numbered=True)
    elif structured is not None:
        labels = given_labels(part, structured)
    else:
        labels = _parse_lines(part, text)
    if not any(labels.texts):
        raise ModelError(part, "holds no label; write one label per line")
    return labels


def given_labels(part: str, texts: Sequence[str]) -> ParsedLabels:
    """Return labels from a list.

    Raises:
        ModelError: one is too long or cannot be printed, or they are too many.
    """
    if len(texts) > LABELS_MAX:
        raise ModelError(part, f"lists {len(texts):,} labels; at most {LABELS_MAX:,} are read")
    cleaned = tuple(_clean(part, number, text) for number, text in enumerate(texts, 1))
    return ParsedLabels(tuple("" if is_gap(text) else text for text in cleaned))


def is_gap(text: str) -> bool:
    """Whether a line says that there is no such class."""
    return text.lower() in GAPS


def _decode(part: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise ModelError(part, f"is not UTF-8 text (byte {exc.start:,}); save it as UTF-8") from exc


def _parse_lines(part: str, text: str) -> ParsedLabels:
    lines = _lines(part, text)
    pairs = _numbered_pairs(part, lines)
    if pairs:
        return ParsedLabels(_by_number(part, dict(pairs)), numbered=True)
    return ParsedLabels(tuple("" if is_gap(line) else line for line in lines))


def _lines(part: str, text: str) -> list[str]:
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


def _numbered_pairs(part: str, lines: list[str]) -> list[tuple[int, str]]:
    """Return (id, label) pairs in rising order; [] for a plain file.

    Raises:
        ModelError: every line has a number, but they do not rise: it may be either style.
    """
    matches = [NUMBERED.fullmatch(line) for line in lines if line]
    pairs = [(int(match[1]), match[2]) for match in matches if match]
    if len(pairs) != len(matches):
        return []
    for before, after in pairwise(pairs):
        if before[0] >= after[0]:
            raise ModelError(
                part,
                f"begins every line with a number, but {after[0]} follows {before[0]}: sort the lines if the numbers are ids,"
                " or list the labels under [output] of the manifest if they belong to the names",
            )
    return pairs


def _by_number(part: str, labels: Mapping[int, str]) -> tuple[str, ...]:
    """Return labels by position, "" where a number is left out."""
    highest = max(labels, default=-1)
    if highest >= LABELS_MAX or min(labels, default=0) < 0:
        raise ModelError(part, f"numbers a label {highest:,}; the highest number is {LABELS_MAX - 1:,}")
    texts = [""] * (highest + 1)
    for number, text in labels.items():
        cleaned = _clean(part, number, text)
        texts[number] = "" if is_gap(cleaned) else cleaned
    return tuple(texts)
