"""`inferd forget`: clears what a broker retains of a device that is gone."""

from __future__ import annotations

from typing import Any

import click

from inferd.cli.broker.options import DAY_S, Seconds, broker_options, chosen
from inferd.errors import LinkError
from inferd.system.clock import Clock, SystemClock
from inferd.telemetry.mqtt.subscriber import MAX_LEAVING, Subscriber
from inferd.wire.topics import OFFLINE, STATUS, full_topic, is_device_id

QUIET_S = 1.0  # without another retained message: all have come
LOOK_S = 0.05
TIMEOUT_S = 10.0


@click.command()
@click.argument("device")
@click.option(
    "--homeassistant-prefix", default="homeassistant", show_default=True, help="Of Home Assistant's discovery."
)
@click.option(
    "--timeout", type=Seconds(min=0.1, max=DAY_S), default=TIMEOUT_S, show_default=True, help="Seconds to wait."
)
@broker_options
def forget(
    device: str, homeassistant_prefix: str, timeout: float, **broker: Any
) -> None:  # Any: as `chosen` takes them
    """Clear what a broker retains of a DEVICE that is gone or was renamed, Home Assistant's discovery included.

    A device that is online is left alone.
    """
    if not is_device_id(device):
        raise LinkError(repr(device), "is no device id: letters, digits, - and _, at most 64")
    mqtt, password = chosen(**broker)
    below = full_topic(mqtt.prefix, device, "")
    discovery = [f"{homeassistant_prefix}/device/{device}/config", f"{homeassistant_prefix}/+/{device}/+/config"]
    clock = SystemClock()
    with Subscriber(mqtt, [f"{below}#", *discovery], password) as subscriber:
        retained = _retained(subscriber, timeout, clock, f"broker {mqtt.host}:{mqtt.port}")
        if retained.get(f"{below}{STATUS.path}", OFFLINE) != OFFLINE:
            raise LinkError(device, "is online; stop it first, or it publishes everything again")
        for topic in sorted(retained):
            _send_empty(subscriber, topic, clock)
    click.echo(f"{device}: {len(retained)} retained topics cleared")


def _retained(subscriber: Subscriber, timeout_s: float, clock: Clock, address: str) -> dict[str, bytes]:
    """Return the retained messages by topic, once no more come.

    Raises:
        LinkError: the broker cannot be subscribed to.
    """
    retained: dict[str, bytes] = {}
    began_ns = last_ns = clock.monotonic_ns()
    while not subscriber.ready or clock.monotonic_ns() - last_ns < QUIET_S * 1e9:
        if clock.monotonic_ns() - began_ns > timeout_s * 1e9:
            break
        for message in subscriber.pop_all():
            if message.retained:
                retained[message.topic] = message.payload
                last_ns = clock.monotonic_ns()
        if not subscriber.ready:
            last_ns = clock.monotonic_ns()
        clock.pause(LOOK_S)
    if not subscriber.ready:
        raise LinkError(address, subscriber.why)
    return retained


def _send_empty(subscriber: Subscriber, topic: str, clock: Clock) -> None:
    while subscriber.leaving >= MAX_LEAVING - 1 and subscriber.ready:
        clock.pause(LOOK_S)
    subscriber.send(topic, b"", retain=True)
