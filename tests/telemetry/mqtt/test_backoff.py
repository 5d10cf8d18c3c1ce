from __future__ import annotations

from inferd.telemetry.mqtt.backoff import Backoff


def test_pauses_double_up_to_the_longest_and_are_spread_by_half() -> None:
    backoff = Backoff(first_s=1.0, longest_s=60.0)
    for failures, middle_s in enumerate((1, 2, 4, 8, 16, 32, 60, 60), start=1):
        assert 0.5 * middle_s <= backoff.pause_s(failures) <= 1.5 * middle_s


def test_a_year_of_failures_is_no_longer_than_the_longest() -> None:
    assert Backoff().pause_s(1_000_000) <= 90.0


def test_two_devices_do_not_return_at_the_same_moment() -> None:
    backoff = Backoff()
    assert len({backoff.pause_s(1) for _ in range(20)}) > 1


def test_a_refusal_is_tried_again_slowly_at_once() -> None:
    assert Backoff(first_s=1.0, longest_s=60.0).slow_s() >= 30.0
