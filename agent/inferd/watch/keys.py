"""What a key does to what a person sees. Pure."""

from __future__ import annotations

from dataclasses import replace

from inferd.watch.fleet import SORTS, FleetQuery

QUIT = ("q", "\x03", "\x04")
UP, DOWN = ("k", "\x1b[A", "\x1bOA"), ("j", "\x1b[B", "\x1bOB")
PAGE_UP, PAGE_DOWN = "\x1b[5~", "\x1b[6~"
FIRST, LAST = ("g", "\x1b[H", "\x1b[1~"), ("G", "\x1b[F", "\x1b[4~")
INTO, OUT = ("\r", "\n", "l", "\x1b[C", "\x1bOC"), ("\x1b", "h", "\x1b[D", "\x1bOD", "\x7f")
ERASE = ("\x7f", "\x08")
LONGEST_FILTER = 60
PAGE = 10


def pressed(wish: FleetQuery, key: str) -> FleetQuery | None:  # noqa: PLR0911 - one for each kind of key
    """Return what is wanted after a key; None where a person wants to leave."""
    if wish.typing:
        return _typed(wish, key)
    if key in QUIT:
        return None
    if key == "/":
        return replace(wish, typing=True, inside=False, filter="")
    if key == "s":
        return replace(wish, sort=SORTS[(SORTS.index(wish.sort) + 1) % len(SORTS)], at=0)
    if key in INTO:
        return replace(wish, inside=True)
    if key in OUT:
        return replace(wish, inside=False, filter=wish.filter if wish.inside else "")
    return replace(wish, at=max(0, _moved(wish.at, key)))


def _moved(at: int, key: str) -> int:
    if key in UP or key in DOWN:
        return at + (1 if key in DOWN else -1)
    if key in (PAGE_UP, PAGE_DOWN):
        return at + (PAGE if key == PAGE_DOWN else -PAGE)
    if key in FIRST or key in LAST:
        return 0 if key in FIRST else 1_000_000  # the view knows how many there are
    return at


def _typed(wish: FleetQuery, key: str) -> FleetQuery:
    if key in ("\r", "\n"):
        return replace(wish, typing=False)
    if key in ("\x1b", "\x03"):
        return replace(wish, typing=False, filter="")
    if key in ERASE:
        return replace(wish, filter=wish.filter[:-1], at=0)
    if len(key) == 1 and key.isprintable() and len(wish.filter) < LONGEST_FILTER:
        return replace(wish, filter=wish.filter + key, at=0)
    return wish


def split_keys(read: str) -> list[str]:
    """Return keys of what a terminal sent: an escape sequence is one key."""
    keys: list[str] = []
    rest = read
    while rest:
        sequences = (*UP, *DOWN, PAGE_UP, PAGE_DOWN, *FIRST, *LAST, *INTO, *OUT)
        known = next((one for one in sequences if len(one) > 1 and rest.startswith(one)), rest[0])
        keys.append(known)
        rest = rest[len(known) :]
    return keys
