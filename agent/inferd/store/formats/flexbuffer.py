"""Reads whole numbers out of a FlexBuffer map: the options of TFLite's custom operators. Bounded; damage reads as "none".

A FlexBuffer is read from its end: byte width of the root, its packed type, the root itself. A map is a vector of values with
their types behind it; in front of it stand the offset of its keys, their width, and how many there are.
"""

from __future__ import annotations

MAX_BYTES = 1 << 16
ENTRIES_MAX = 256
WIDTHS = (1, 2, 4, 8)
INT, UINT, MAP = 1, 2, 9  # type numbers


def read_integers(content: bytes) -> dict[str, int]:
    """Return the whole numbers of a map, by key; {} where `content` is no map or damaged."""
    if not 3 <= len(content) <= MAX_BYTES or content[-1] not in WIDTHS or content[-2] >> 2 != MAP:  # noqa: PLR2004  # root, type, width
        return {}
    try:
        return _read_map(content, len(content) - 2 - content[-1], content[-1], WIDTHS[content[-2] & 3])
    except (IndexError, ValueError):
        return {}


def _read_map(content: bytes, root: int, root_width: int, width: int) -> dict[str, int]:
    values = _back(content, root, root_width)
    count = _number(content, values - width, width)
    key_width = _number(content, values - 2 * width, width)
    keys = _back(content, values - 3 * width, width)
    if count > ENTRIES_MAX or key_width not in WIDTHS:
        raise ValueError("no map of a custom operator")
    found: dict[str, int] = {}
    for index in range(count):
        name_at = _back(content, keys + index * key_width, key_width)
        kind = content[values + count * width + index] >> 2
        if kind in (INT, UINT):
            name = content[name_at : content.index(0, name_at)].decode("utf-8", "replace")
            found[name] = _number(content, values + index * width, width, signed=kind == INT)
    return found


def _back(content: bytes, at: int, width: int) -> int:
    """Return where the backward offset at `at` leads."""
    target = at - _number(content, at, width)
    if not 0 <= target < at:
        raise ValueError("an offset leads outside")
    return target


def _number(content: bytes, at: int, width: int, *, signed: bool = False) -> int:
    if at < 0 or at + width > len(content):
        raise IndexError(at)
    return int.from_bytes(content[at : at + width], "little", signed=signed)
