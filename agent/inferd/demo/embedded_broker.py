"""The broker that comes along where none runs: amqtt, on the loopback interface, in a process of its own.

For the demo only. amqtt 0.12.1 speaks MQTT 3.1.1 alone, tells a last will several times, and sends a connecting client
retained messages it never asked for. No better one was found on PyPI (November 2026): mqttools 0.50 speaks MQTT 5
alone, which `mosquitto_sub` does not do by itself; mqttd 0.5.3 garbled the payloads of qos 1.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.util import find_spec

from inferd.system.processes.process import set_name

HOST = "127.0.0.1"


def installed() -> bool:
    """Whether it can be started here."""
    return find_spec("amqtt") is not None


async def serve(port: int) -> None:
    """Take clients on the loopback interface until the process ends."""
    from amqtt.broker import Broker  # noqa: PLC0415 - an extra; only this process needs it

    anonymous = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}}, "plugins": anonymous})
    await broker.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    set_name("inferd-broker")
    asyncio.run(serve(int(sys.argv[1])))
