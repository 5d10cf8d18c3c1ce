"""A real Home Assistant shows a real agent, whatever is killed in whatever order."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fixtures.agents.agent import environment, wait_for
from fixtures.network.broker import Listener, Mosquitto, retained
from fixtures.network.homeassistant import PROGRAMS, HomeAssistant

pytestmark = [
    pytest.mark.soak,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not PROGRAMS, reason="INFERD_HASS names no Home Assistant; see fixtures/homeassistant.py"),
]
WITHIN_S = 60.0
CONFIG = """\
device = "kitchen"
state_dir = "{folder}/state"
[mqtt]
port = {port}
keepalive_s = 5
requests = "operate"
[metrics]
interval_s = 2.0
[homeassistant]
enabled = {enabled}
form = "{form}"
"""


class Agent:
    """`inferd run` on the bundled model and clip."""

    def __init__(self, folder: Path, port: int, form: str) -> None:
        self._folder, self._port, self._form = folder, port, form
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, *, enabled: bool = True) -> None:
        file = self._folder / "inferd.toml"
        said = str(enabled).lower()
        file.write_text(CONFIG.format(folder=self._folder, port=self._port, form=self._form, enabled=said))
        with (self._folder / "log").open("ab") as log:
            command = [sys.executable, "-m", "inferd", "run", "--config", str(file)]
            self._running = subprocess.Popen(command, stdout=log, stderr=log, env=environment())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self._running is not None:
            self._running.send_signal(number)
            self._running.wait(20)
            self._running = None


def form_of(program: Path) -> str:
    """Return what this server knows: 2024.11 and later run on Python 3.12 and later."""
    libraries = program.parent.parent / "lib"
    return "entity" if (libraries / "python3.11").exists() else "device"


@pytest.fixture(params=PROGRAMS, ids=form_of)
def world(
    request: pytest.FixtureRequest, tmp_path: Path, mosquitto: Mosquitto
) -> Iterator[tuple[Agent, Mosquitto, HomeAssistant]]:
    server = HomeAssistant(request.param, tmp_path / "hass", mosquitto.port)
    agent = Agent(tmp_path, mosquitto.port, form_of(request.param))
    agent.start()
    yield agent, mosquitto, server
    agent.stop()
    server.stop()


def is_alive(server: HomeAssistant) -> bool:
    """Return whether every entity that can have a state has one, and none is unavailable."""
    states = server.states()
    return (
        len(states) >= 12
        and server.state("digits_status") == "running"
        and server.state("digits_occupancy") in ("on", "off")
        and "unavailable" not in states.values()
        and server.state("memory_available") not in (None, "unknown")
    )


def test_it_discovers_the_device_and_shows_it(world: tuple[Agent, Mosquitto, HomeAssistant]) -> None:
    _, _, server = world
    assert wait_for(lambda: is_alive(server), WITHIN_S), server.states()
    assert server.state("digits_label") in list("0123456789")
    assert server.state("digits_count") == "1"
    assert server.state("digits_model") == "off"  # the model is the newest there is
    assert float(server.state("digits_latency_total") or "nan") > 0
    assert server.errors() == ""


def test_what_is_set_and_pressed_there_is_obeyed_here(world: tuple[Agent, Mosquitto, HomeAssistant]) -> None:
    _, broker, server = world
    assert wait_for(lambda: is_alive(server), WITHIN_S), server.states()
    assert float(server.state("report_interval") or 0) == 2.0
    listener = Listener(broker.port)
    server.call("number/set_value", "report_interval", value=5)
    assert wait_for(lambda: server.state("report_interval") in ("5", "5.0"), WITHIN_S), server.states()
    server.call("button/press", "report_now")
    assert wait_for(lambda: answered(listener, "metrics"), WITHIN_S)
    server.call("button/press", "reload_configuration")
    assert wait_for(lambda: server.state("report_interval") in ("2", "2.0"), WITHIN_S), server.states()
    assert wait_for(lambda: all(answered(listener, verb) for verb in ("interval", "metrics", "reload")), WITHIN_S)
    listener.close()
    assert server.errors() == ""


def answered(listener: Listener, verb: str) -> bool:
    return any(b'"status":"ok"' in one for one in listener.payloads(f"inferd/kitchen/response/{verb}"))


def test_whatever_is_killed_in_whatever_order_nothing_stays_unavailable(
    world: tuple[Agent, Mosquitto, HomeAssistant],
) -> None:
    agent, broker, server = world
    assert wait_for(lambda: is_alive(server), WITHIN_S), server.states()
    before = set(server.states())
    kills: dict[str, tuple[Callable[[], None], Callable[[], None]]] = {
        "agent": (lambda: agent.stop(signal.SIGKILL), agent.start),
        "broker": (broker.kill, broker.start),
        "home assistant": (lambda: server.stop(signal.SIGKILL), server.start),
    }
    for order in itertools.permutations(kills):
        for name in order:
            kills[name][0]()
        for name in order:
            kills[name][1]()
        assert wait_for(lambda: is_alive(server), 2 * WITHIN_S), (order, server.states())
        assert set(server.states()) == before, order


def test_an_agent_that_is_lost_is_unavailable_and_back_when_it_is(
    world: tuple[Agent, Mosquitto, HomeAssistant],
) -> None:
    agent, _, server = world
    assert wait_for(lambda: is_alive(server), WITHIN_S), server.states()
    agent.stop(signal.SIGKILL)
    assert wait_for(lambda: set(server.states().values()) == {"unavailable"}, WITHIN_S), server.states()
    agent.start()
    assert wait_for(lambda: is_alive(server), WITHIN_S), server.states()


def test_switching_it_off_leaves_no_ghost(world: tuple[Agent, Mosquitto, HomeAssistant]) -> None:
    agent, broker, server = world
    assert wait_for(lambda: is_alive(server), WITHIN_S), server.states()
    agent.stop()
    agent.start(enabled=False)
    assert wait_for(lambda: not server.states(), WITHIN_S), server.states()
    assert retained(broker.port, "homeassistant/device/kitchen/config") is None
    server.stop()
    server.start()
    time.sleep(float(os.environ.get("INFERD_SETTLE_S", "5")))
    assert server.states() == {}
