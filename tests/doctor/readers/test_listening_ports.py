"""Who listens on a port, by the real /proc."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

from fixtures.machines.boards import pi4
from inferd.config.base import ConfigTable
from inferd.doctor.checks.system import CHECKS, PortFacts
from inferd.doctor.readers.listening_ports import ListeningSocket, listeners
from inferd.doctor.readers.requirements import Listening, ports
from inferd.doctor.readers.world import World

(PORT,) = (check for check in CHECKS if check.id == "system.port")


class Prometheus(ConfigTable, frozen=True):
    """A table as a later version may have it."""

    enabled: bool = True
    port: int = 9100


class Mqtt(ConfigTable, frozen=True):
    """The broker's table: its port is not ours."""

    port: int = 1883


class Config(ConfigTable, frozen=True):
    """A configuration as a later version may have it."""

    mqtt: Mqtt = Mqtt()
    prometheus: Prometheus = Prometheus()


def this_machine(tmp_path: Path) -> World:
    return replace(pi4(tmp_path).world(), root=Path("/"))


def test_a_taken_port_is_named_with_who_has_it(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        (taken,) = listeners(this_machine(tmp_path), {port})
    assert (taken.port, taken.pid) == (port, os.getpid())
    (fault,) = PORT.judge(
        PortFacts((Listening(port, "prometheus.port"),), (ListeningSocket(port, 4711, "node_exporter"),))
    )
    assert fault.what == f"node_exporter (process 4711) listens on port {port} already"
    assert fault.mend == "set prometheus.port to a free port"


def test_a_free_port_is_well(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert listeners(this_machine(tmp_path), {port}) == ()


def test_ports_are_those_of_enabled_tables_but_the_brokers() -> None:
    assert ports(Config()) == (Listening(9100, "prometheus.port"),)
    assert ports(Config(prometheus=Prometheus(enabled=False))) == ()
