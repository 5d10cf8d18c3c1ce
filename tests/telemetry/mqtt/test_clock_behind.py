"""A board that does not know the time yet: TLS fails for that reason, and is tried again at once when the time comes."""

from __future__ import annotations

import ssl

import pytest

from fixtures.network import broker
from inferd.config.settings import Mqtt
from inferd.system.clock import SystemClock
from inferd.telemetry.connection_errors import EXPIRED, NOT_YET_VALID, explain_tls_error
from inferd.telemetry.mqtt.backoff import Backoff
from inferd.telemetry.mqtt.link import MqttLink

PATIENT = Backoff(first_s=3600.0, longest_s=3600.0)
HOUR_S = 3600.0


class Settable(SystemClock):
    """The machine's clock, whose wall side a test may set."""

    def __init__(self) -> None:
        super().__init__()
        machine = self.wall_s
        self.ahead_s = 0.0
        self.wall_s = lambda: machine() + self.ahead_s


@pytest.mark.parametrize(
    ("code", "named"), [(NOT_YET_VALID, "is this device's clock set?"), (EXPIRED, "or set this device's clock")]
)
def test_a_certificate_that_does_not_hold_by_our_clock_asks_for_the_clock_and_is_tried_again(
    code: int, named: str
) -> None:
    fault = ssl.SSLCertVerificationError()
    fault.verify_code = code
    why, waiting_helps = explain_tls_error(fault, "broker")
    assert named in why
    assert waiting_helps


@pytest.mark.parametrize("by_s", [50 * 365 * 24 * HOUR_S, -HOUR_S])
def test_the_broker_is_tried_again_at_once_when_the_clock_was_set(by_s: float) -> None:
    clock = Settable()
    link = MqttLink(Mqtt(host="127.0.0.1", port=broker.dead_port()), "pi", clock, PATIENT)
    try:
        broker.eventually(lambda: link.attempts == 1, "an attempt")
        clock.ahead_s = by_s
        broker.eventually(lambda: link.attempts == 2, "another attempt, an hour early")
    finally:
        link.close(1.0)


@pytest.mark.slow
def test_without_that_it_waits_for_its_time() -> None:
    link = MqttLink(Mqtt(host="127.0.0.1", port=broker.dead_port()), "pi", SystemClock(), PATIENT)
    try:
        with pytest.raises(AssertionError, match="in vain"):
            broker.eventually(lambda: link.attempts == 2, "another attempt")
    finally:
        link.close(1.0)
