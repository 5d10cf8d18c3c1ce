from __future__ import annotations

import pytest

from inferd.watch.fleet import SORTS, FleetQuery
from inferd.watch.keys import pressed, split_keys


def after(*keys: str, wish: FleetQuery | None = None) -> FleetQuery | None:
    now: FleetQuery | None = wish or FleetQuery()
    for key in keys:
        assert now is not None
        now = pressed(now, key)
    return now


@pytest.mark.parametrize("key", ["q", "\x03"])
def test_q_and_ctrl_c_leave(key: str) -> None:
    assert after(key) is None


def test_a_filter_is_typed_and_kept() -> None:
    assert after("/", *"hot", "\r") == FleetQuery(filter="hot")
    assert after("/", *"hop", "\x7f", "t", "\r") == FleetQuery(filter="hot")


def test_q_is_a_letter_while_a_filter_is_typed() -> None:
    assert after("/", "q") == FleetQuery(filter="q", typing=True)


def test_escape_goes_back_one_step_and_then_clears_the_filter() -> None:
    inside = FleetQuery(filter="hot", inside=True)
    assert after("\x1b", wish=inside) == FleetQuery(filter="hot")
    assert after("\x1b", "\x1b", wish=inside) == FleetQuery()


def test_s_goes_through_all_orders_and_begins_again() -> None:
    assert after(*"s" * len(SORTS)) == FleetQuery()
    one = after("s")
    assert one is not None
    assert one.sort == SORTS[1]


def test_arrows_and_letters_move_and_never_above_the_first() -> None:
    assert after("\x1b[B", "j", "\x1bOB") == FleetQuery(at=3)
    assert after("k", "\x1b[A") == FleetQuery()
    assert after("\x1b[6~", "\x1b[5~", "j") == FleetQuery(at=1)


def test_enter_opens() -> None:
    assert after("j", "\r") == FleetQuery(at=1, inside=True)


def test_an_escape_sequence_is_one_key() -> None:
    assert split_keys("j\x1b[B\x1b[6~q\x1b") == ["j", "\x1b[B", "\x1b[6~", "q", "\x1b"]
