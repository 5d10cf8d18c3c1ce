"""Listens to a broker and shows what it hears, until a person has seen enough."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

from rich.console import Console

from inferd.config import settings
from inferd.system.clock import Clock
from inferd.telemetry.mqtt.subscriber import Subscriber
from inferd.watch.fleet import Fleet, FleetQuery, FleetView
from inferd.watch.keys import pressed
from inferd.watch.plain_text import line, summary
from inferd.watch.screen import FleetScreen
from inferd.watch.terminal import Keys

TURN_S = 0.25
LINES_EVERY_S = 10.0
FIRST_LINES_S = 2.0  # until retained messages have come

Echo = Callable[[str], None]


def topics_of(prefix: str, device: str) -> list[str]:
    """Return what to subscribe to: all of one device, or of every device."""
    return [f"{prefix}/{device or '+'}/#"]


def watch(broker: settings.Mqtt, device: str, password: str, console: Console) -> None:
    """Show devices full-screen until a key ends it; `device` "" shows all."""
    with ExitStack() as stack:
        ear = stack.enter_context(Subscriber(broker, topics_of(broker.prefix, device), password))
        keys = stack.enter_context(Keys())
        screen = stack.enter_context(closing(FleetScreen(console)))
        fleet, wish = Fleet(broker.prefix), FleetQuery(inside=bool(device))
        where = f"{broker.host}:{broker.port}"
        while True:
            view = look(ear, fleet, wish, broker)
            screen.show(view, where)
            for key in keys.wait(TURN_S):
                after = pressed(view.wish, key)
                if after is None:
                    return
                wish = after
                view = fleet.view(wish)
                wish = view.wish


def lines(broker: settings.Mqtt, device: str, password: str, echo: Echo, clock: Clock, seconds: float | None) -> None:
    """Write a line for each device every LINES_EVERY_S, until Ctrl-C or for so many `seconds`."""
    with Subscriber(broker, topics_of(broker.prefix, device), password) as ear:
        fleet, began_ns, due_s = Fleet(broker.prefix), clock.monotonic_ns(), FIRST_LINES_S
        while True:
            running_s = (clock.monotonic_ns() - began_ns) / 1e9
            view = look(ear, fleet, FleetQuery(sort="device"), broker)
            if running_s >= due_s:
                due_s += LINES_EVERY_S
                for text in told(view):
                    echo(text)
            if seconds is not None and running_s >= seconds:
                return
            clock.pause(TURN_S)


def look(ear: Subscriber, fleet: Fleet, wish: FleetQuery, broker: settings.Mqtt) -> FleetView:
    """Take in what was said, and return what there is to see."""
    for heard in ear.pop_all():
        fleet.update(heard.topic, heard.payload)
    deaf = "" if ear.ready else f"broker {broker.host}:{broker.port}: {ear.why}"
    return fleet.view(wish, deaf)


def told(view: FleetView) -> list[str]:
    """Return a view as lines."""
    return [view.deaf] if view.deaf else [summary(view), *(line(row) for row in view.rows)]
