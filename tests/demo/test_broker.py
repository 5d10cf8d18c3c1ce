from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from threading import Event

import pytest

from fixtures.network import broker
from inferd.config.settings import Mqtt
from inferd.demo import embedded_broker
from inferd.demo.broker import find_broker, free_port, is_taken, why_unusable


def pause(seconds: float) -> bool:
    return Event().wait(seconds)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.fixture
def amqtt() -> None:
    if not embedded_broker.installed():
        pytest.skip("amqtt is not installed; pip install 'inferd[demo]'")


def test_a_broker_that_runs_here_is_used(mosquitto: broker.Mosquitto, tmp_path: Path, stack: ExitStack) -> None:
    found = find_broker(mosquitto.port, tmp_path / "log", stack, pause)
    assert found.settings == Mqtt(host="localhost", port=mosquitto.port)
    assert not found.ours


@pytest.mark.slow
@pytest.mark.usefixtures("amqtt")
def test_where_none_runs_ours_takes_its_port(tmp_path: Path, stack: ExitStack) -> None:
    port = broker.free_port()
    found = find_broker(port, tmp_path / "log", stack, pause)
    assert found.settings == Mqtt(host="localhost", port=port)
    assert found.ours


@pytest.mark.slow
@pytest.mark.usefixtures("amqtt")
def test_what_is_no_broker_keeps_its_port_and_ours_takes_another(tmp_path: Path, stack: ExitStack) -> None:
    with broker.deaf_broker() as port:
        found = find_broker(port, tmp_path / "log", stack, pause)
    assert found.ours
    assert found.settings is not None
    assert found.settings.port != port
    assert f"what runs on localhost:{port} is of no use: it has not answered as a broker does" in found.told


@pytest.mark.slow
@pytest.mark.usefixtures("amqtt")
def test_ours_listens_on_the_loopback_interface_alone_and_ends_with_the_demo(tmp_path: Path) -> None:
    port = broker.free_port()
    with ExitStack() as stack:
        find_broker(port, tmp_path / "log", stack, pause)
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", port)) != 0
    assert not is_taken(port)


@pytest.mark.slow
def test_a_broker_that_gives_nothing_back_is_of_no_use() -> None:
    with broker.deaf_broker() as port:
        why = why_unusable(Mqtt(host="127.0.0.1", port=port), pause)
    assert why == f"what runs on 127.0.0.1:{port} is of no use: it has not answered as a broker does"


def test_who_wants_to_end_does_not_wait_for_a_broker() -> None:
    pauses: list[float] = []

    def told_to_end(seconds: float) -> bool:
        pauses.append(seconds)
        return True

    with broker.deaf_broker() as port:
        why_unusable(Mqtt(host="127.0.0.1", port=port), told_to_end)
    assert len(pauses) == 1


def test_a_port_that_is_free_is_taken_and_else_another() -> None:
    wanted = broker.free_port()
    assert free_port(wanted) == wanted
    with socket.create_server(("127.0.0.1", wanted)):
        assert free_port(wanted) != wanted
