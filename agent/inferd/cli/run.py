"""`inferd run`: the service."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click
import msgspec

from inferd import __version__
from inferd.bundled_files import digits_pipeline
from inferd.cli.format_results import line_of
from inferd.config import settings
from inferd.config.load import LoadedConfig, device_id, load, state_dir
from inferd.config.mqtt import LOCAL_HOSTS, strangers_may
from inferd.control.commands.local_socket import folder_of
from inferd.control.reporting.local_endpoints import LocalEndpoints
from inferd.control.reporting.publisher import Publisher
from inferd.control.service import Service, applying
from inferd.control.state_version import claim
from inferd.errors import StoreError
from inferd.plugins import LINKS, Link, find
from inferd.system.clock import SystemClock
from inferd.system.files.atomic import hold_folder
from inferd.system.journal import formatter
from inferd.system.processes.process import hold_memory
from inferd.telemetry.spool.spool import spool_location
from inferd.wire.topics import PIPELINE_STATUS, full_topic

if TYPE_CHECKING:
    from inferd.telemetry.mqtt.link import MqttLink

log = logging.getLogger(__name__)

MEMORY_SHARE = 0.8  # of the board's, for each of our processes; the unit's MemoryMax= is the same for all together


@click.command()
@click.option(
    "--config", "file", type=click.Path(path_type=Path), help="Read this file instead of /etc/inferd/inferd.toml."
)
@click.option(
    "--print",
    "prints",
    type=click.Choice(("auto", "text", "json")),
    is_flag=False,
    flag_value="auto",
    help="Print each result as well: a line for people (text) or a JSON line (json); without a value, text on a terminal.",
)
@click.option("--until-end", is_flag=True, help="End when the input of every pipeline is through.")
def run(file: Path | None, *, prints: str | None, until_end: bool) -> None:
    """Run the agent until it is told to stop.

    Reads --config, else the file $INFERD_CONFIG names, else /etc/inferd/inferd.toml and inferd.d/*.toml beside it; without
    any, it runs the digits model on the clip that comes with it. SIGHUP reads the configuration again; SIGTERM and Ctrl-C
    end it. Results go to the broker of the configuration, which may be away for as long as it likes.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # one that comes before the service handles it, or after, ends nothing
    loaded = _load(file)
    config = loaded.config
    written = logging.StreamHandler(sys.stderr)
    written.setFormatter(formatter(os.environ.get("JOURNAL_STREAM", ""), config.log_format))
    logging.basicConfig(level=config.log_level.upper(), handlers=[written])
    log.info("inferd %s, configuration: %s", __version__, ", ".join(map(str, loaded.files)) or "none, built-in example")
    folder = state_dir(config, os.environ)
    with _held(
        folder
    ):  # before the session at the broker, the spool and the store, which belong to the agent that runs
        claim(folder, __version__)
        hold_memory(MEMORY_SHARE)
        _service(config, lambda: _load(file).config, folder, prints=prints).run(until_end=until_end)


def _service(
    config: settings.Config, reread: Callable[[], settings.Config], folder: Path, *, prints: str | None
) -> Service:
    """Build the service and its links.

    Raises:
        ConfigError: something in the configuration cannot be used, which no check foresaw.
    """
    clock = SystemClock()
    control_dir = folder_of(folder, os.environ.get("RUNTIME_DIRECTORY", ""))
    with applying(config):
        endpoints = LocalEndpoints(clock)
        broker = _broker(config, folder, control_dir) if config.mqtt.enabled else None
        if config.mqtt.host not in LOCAL_HOSTS and (allowed := strangers_may(config.mqtt)):
            log.warning("no login for broker %s: anyone who reaches it can %s", config.mqtt.host, allowed)
        links = [*([broker] if broker else []), *(_printing(prints) if prints else []), *endpoints.links]
        publisher = Publisher(device_id(config), links, clock, endpoints.local_links)
        endpoints.open(config.mqtt, device_id(config), folder, clock, publisher.publish)
        return Service(
            config,
            reread,
            folder,
            publisher,
            clock,
            reconnect=broker.reconfigure if broker else None,
            notify_socket=os.environ.get("NOTIFY_SOCKET", ""),
            control_dir=control_dir,
            endpoints=endpoints,
        )


def _held(folder: Path) -> BinaryIO:
    """Take the state folder for this agent alone.

    Raises:
        StoreError: it cannot be written, or another agent has it.
    """
    try:
        return hold_folder(folder)
    except BlockingIOError:
        raise StoreError(str(folder), "another inferd keeps its state here; stop it, or set state_dir") from None
    except OSError as exc:
        raise StoreError(str(folder), f"state cannot be kept here ({exc.strerror}); set state_dir") from exc


def _load(file: Path | None) -> LoadedConfig:
    """Read the configuration; without any pipeline, add the one that needs nothing."""
    loaded = load(file, os.environ)
    if loaded.config.pipeline:
        return loaded
    return LoadedConfig(msgspec.structs.replace(loaded.config, pipeline=(digits_pipeline(),)), loaded.files)


def _broker(config: settings.Config, folder: Path, volatile: Path) -> MqttLink:
    """Make the way to the broker; `volatile` is best in memory, and outlives this process."""
    listens = [full_topic(config.mqtt.prefix, device_id(config), PIPELINE_STATUS.path.replace("<pipeline>", "+"))]
    listens += [f"{config.homeassistant.prefix}/status"] if config.homeassistant.enabled else []
    place = spool_location(config.mqtt, folder / "spool", volatile / "spool")
    made: MqttLink = find("link", LINKS, "mqtt")(
        config.mqtt, device_id(config), SystemClock(), place=place, listens=listens
    )
    return made


def _printing(kind: str) -> list[Link]:
    if sys.stdout is None:
        return []
    for_people = kind == "text" or (kind == "auto" and sys.stdout.isatty())
    return [find("link", LINKS, "lines")(sys.stdout.buffer, line_of if for_people else bytes)]
