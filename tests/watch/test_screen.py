from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from inferd.cli.broker.options import parse_broker
from inferd.errors import ConfigError
from inferd.watch.fleet import Fleet, FleetQuery, FleetView
from inferd.watch.screen import draw
from inferd_tools.simulate import SimulatedDevice

SIZES = [(80, 24), (140, 45), (70, 12)]


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    heard = Fleet("inferd")
    for number in range(200):
        device = SimulatedDevice(number)
        for message in (*device.begin(), *device.live(30.0)):
            heard.update(message.topic, message.payload)
    return heard


def drawn(view: FleetView, width: int, height: int) -> list[str]:
    told = StringIO()
    Console(file=told, width=width, height=height).print(draw(view, "broker:1883", width, height))
    return told.getvalue().splitlines()


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize(
    "wish", [FleetQuery(), FleetQuery(at=150), FleetQuery(inside=True), FleetQuery(typing=True, filter="xyz")]
)
def test_it_never_grows_out_of_the_terminal(fleet: Fleet, width: int, height: int, wish: FleetQuery) -> None:
    lines = drawn(fleet.view(wish), width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


def test_the_chosen_device_is_always_in_sight(fleet: Fleet) -> None:
    for at in (0, 7, 100, 199):
        view = fleet.view(FleetQuery(at=at))
        assert any(line.startswith(view.rows[at].device) for line in drawn(view, 80, 24))


def test_a_device_that_is_opened_shows_its_pipelines_and_what_happened(fleet: Fleet) -> None:
    view = fleet.view(FleetQuery(sort="alerts", inside=True))
    text = "\n".join(drawn(view, 140, 45))
    assert view.rows[0].device in text
    assert "frame age" in text
    assert "alert hot: the temperature of the processor is" in text


def test_a_broker_that_cannot_be_heard_is_named(fleet: Fleet) -> None:
    view = fleet.view(FleetQuery(), "broker b:1883: it cannot be reached (Connection refused)")
    assert "Connection refused" in drawn(view, 120, 24)[0]


def test_where_nothing_speaks_it_says_so() -> None:
    assert any("nothing has been heard yet" in line for line in drawn(Fleet("inferd").view(FleetQuery()), 80, 24))


def test_a_broker_is_named_by_host_or_by_url() -> None:
    said = parse_broker("mqtt://bob@broker.example:1884/site/inferd")
    assert (said.host, said.port, said.username, said.prefix) == ("broker.example", 1884, "bob", "site/inferd")
    assert (parse_broker("10.0.0.2").host, parse_broker("10.0.0.2").port) == ("10.0.0.2", 1883)
    assert (parse_broker("mqtts://b").port, parse_broker("mqtts://b").tls, parse_broker("mqtt://b").tls) == (
        8883,
        True,
        False,
    )


@pytest.mark.parametrize("url", ["http://x", "mqtt://", "x:port", "mqtt://bob:secret@x"])
def test_what_is_no_broker_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="--broker"):
        parse_broker(url)
