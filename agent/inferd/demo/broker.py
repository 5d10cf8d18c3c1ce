"""Finds the broker of the demo: the one that runs here already, else one of our own, else none."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from inferd.config.settings import Mqtt
from inferd.demo import embedded_broker
from inferd.system.processes.parent_death import BoundProgram
from inferd.telemetry.mqtt.subscriber import Subscriber

HOST = "localhost"
TCP_S = 1.0
ROUND_TRIP_S = 2.0
START_S = 15.0  # of an embedded broker, on a slow card
STOP_S = 2.0
LOOK_S = 0.05
HOW_TO_GET_ONE = "pip install 'amqtt==0.12.*', or sudo apt-get install mosquitto"

Pause = Callable[[float], bool]
"""Waits so many seconds; returns True where the demo is to end, at once."""


@dataclass(frozen=True, slots=True)
class DemoBroker:
    """What takes the telemetry.

    Attributes:
        settings: how to connect to it; None where there is none.
        told: what it is, or why there is none and how to get one.
        ours: whether it ends with the demo, and all that it retains.
    """

    settings: Mqtt | None
    told: str
    ours: bool = False


def find_broker(port: int, log: Path, stack: ExitStack, pause: Pause) -> DemoBroker:
    """Return a broker that works; one that was started is stopped by `stack`.

    Args:
        port: where one is looked for, and where ours listens if nobody else does.
        log: a file for what our own writes to standard error.
        stack: ends what was started.
        pause: waits.
    """
    settings = Mqtt(host=HOST, port=port)
    taken = is_taken(port)
    why = why_unusable(settings, pause) if taken else f"none runs on {HOST}:{port}"
    if not why:
        return DemoBroker(settings, f"the one that runs on {HOST}:{port}")
    if not embedded_broker.installed():
        return DemoBroker(None, f"none ({why}); to get one: {HOW_TO_GET_ONE}")
    settings = Mqtt(host=HOST, port=free_port(0 if taken else port))
    ours_fails = _start_embedded(settings, log, stack, pause)
    if ours_fails:
        return DemoBroker(None, f"none ({why}; {ours_fails}); to get one: sudo apt-get install mosquitto")
    return DemoBroker(settings, f"our own on {HOST}:{settings.port}, for as long as the demo runs ({why})", ours=True)


def is_taken(port: int) -> bool:
    """Whether anything listens on a port of this machine."""
    try:
        socket.create_connection((HOST, port), TCP_S).close()
    except OSError:
        return False
    return True


def free_port(wanted: int) -> int:
    """Return `wanted` where it is free on the loopback interface now, else (or for 0) any other that is."""
    try:
        with socket.create_server((embedded_broker.HOST, wanted)) as server:
            return int(server.getsockname()[1])
    except OSError:
        return free_port(0)


def why_unusable(broker: Mqtt, pause: Pause) -> str:
    """Send a message and wait until it comes back; return "" where it did, else why the broker is of no use."""
    topic = f"{broker.prefix}/probe-{uuid4().hex[:8]}"
    with Subscriber(broker, [topic]) as subscriber:
        subscriber.send(topic, b"")
        for _ in range(round(ROUND_TRIP_S / LOOK_S)):
            if subscriber.pop_all():
                return ""
            if pause(LOOK_S):
                break
        why = subscriber.why or "what is sent does not come back"
        return f"what runs on {broker.host}:{broker.port} is of no use: {why}"


def _start_embedded(settings: Mqtt, log: Path, stack: ExitStack, pause: Pause) -> str:
    """Start our own broker; return "" where it works, else why not."""
    command = [sys.executable, "-P", "-m", "inferd.demo.embedded_broker", str(settings.port)]
    with log.open("wb") as errors:
        process = BoundProgram(command, stdout=errors, stderr=errors)
    stack.callback(process.stop, STOP_S)
    for _ in range(round(START_S / LOOK_S)):
        if ended := process.ended():
            return f"our own {ended.sentence}"
        if is_taken(settings.port):
            return why_unusable(settings, pause)
        if pause(LOOK_S):
            break
    return "our own did not start"
