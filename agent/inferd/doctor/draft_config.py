"""Drafts a configuration from what is found on this device, for `inferd init`. Reads; writes nothing."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from inferd.accelerators.accelerator import Accelerator
from inferd.accelerators.devices import find_devices
from inferd.accelerators.table import ACCELERATORS
from inferd.bundled_files import bundled
from inferd.config import settings
from inferd.doctor.readers.hardware import find_cameras, find_sensors
from inferd.doctor.readers.mqtt_handshake import greet
from inferd.doctor.readers.requirements import BrokerAddress
from inferd.doctor.readers.world import World
from inferd.meters.background import BackgroundReader
from inferd.meters.power.meter import PowerSource, find_source
from inferd.records import Unavailable

MQTT_PORT = 1883
BROKER_S = 0.5
CAMERA_KIND, COMMAND_KIND = "v4l2", "command"
# A row each for what was found and cannot be a source yet, so that nobody looks for the reason in the wrong place.
NO_KIND = "# found {what}; this version of inferd has no source of kind {kind!r} for it yet"


@dataclass(frozen=True, slots=True)
class DetectedHardware:
    """What is on this device.

    Attributes:
        board: what the firmware calls it, "" on a PC.
        cameras: USB cameras, by the name that stays the same.
        sensors: cameras on the CSI connector.
        accelerators: kinds of accelerators, and the bus of the first device of each.
        broker: whether a broker on this device let us in.
        login: whether one is there that wants a password.
        power: the power meter, or the estimate that stands for one; why there is neither.
        kinds: the kinds of sources that this inferd has.
    """

    board: str
    cameras: tuple[str, ...]
    sensors: tuple[str, ...]
    accelerators: tuple[tuple[Accelerator, str], ...]
    broker: bool
    login: bool
    power: PowerSource | Unavailable
    kinds: frozenset[str]


def look(world: World) -> DetectedHardware:
    """Look what there is; takes at most half a second."""
    greeting = greet(BrokerAddress("localhost", MQTT_PORT, "", "", "inferd-init"), "", BROKER_S)
    return DetectedHardware(
        board=world.board,
        cameras=find_cameras(world),
        sensors=find_sensors(world),
        accelerators=tuple((one, found[0].bus) for one in ACCELERATORS if (found := find_devices(one, world.root))),
        broker=greeting.outcome == "welcome",
        login=greeting.outcome == "login",
        power=_power(world),
        kinds=frozenset(str(kind.__struct_config__.tag) for kind in typing.get_args(settings.Source)),
    )


def told(found: DetectedHardware) -> Iterator[str]:
    """Yield what was found, a line each."""
    yield f"board    {found.board or 'a PC or a virtual machine'}"
    yield f"cameras  {', '.join([*found.cameras, *(f'{name} (CSI)' for name in found.sensors)]) or 'none'}"
    yield f"accel    {', '.join(f'{one.title} ({bus})' for one, bus in found.accelerators) or 'none'}"
    state = (
        "on this device"
        if found.broker
        else "on this device, and it wants a password"
        if found.login
        else "none on this device"
    )
    yield f"broker   {state}"
    yield f"power    {found.power.why if isinstance(found.power, Unavailable) else f'{found.power.basis} by {found.power.name}'}"


def draft(found: DetectedHardware) -> str:
    """Return a commented configuration."""
    return "\n".join([*_head(found), *_mqtt(found), *_metrics(found), *_pipelines(found)]) + "\n"


def _head(found: DetectedHardware) -> Iterator[str]:
    yield f"# inferd's configuration, drafted for {found.board or 'this machine'}. All keys: inferd config sample"
    yield "# Try it: inferd config check FILE. Use it: sudo systemctl reload inferd, or inferd run --config FILE."
    yield ""
    yield "# This device's name in topics; without it, the host name."
    yield '# device = "kitchen"'
    yield ""


def _mqtt(found: DetectedHardware) -> Iterator[str]:
    yield "[mqtt]"
    if found.broker or found.login:
        yield "# A broker answers on this device."
        yield 'host = "localhost"'
    else:
        yield "# No broker answers on this device: name yours, and take the next line out."
        yield "enabled = false"
        yield '# host = "192.168.1.10"'
    if found.login:
        yield "# It wants a login: a file that holds the password and nothing else, closed to others (chmod 640)."
        yield 'username = "inferd"'
        yield 'password_file = "/etc/inferd/mqtt-password"'
    yield ""


def _metrics(found: DetectedHardware) -> Iterator[str]:
    yield "[metrics]"
    if isinstance(found.power, Unavailable):
        yield "# There is no power meter: with your own figures, in watts, power is estimated."
        yield "# idle_w = 2.7"
        yield "# core_w = 1.1"
    else:
        yield f"# What this device draws is {found.power.basis} by {found.power.name}."
        yield "# With nothing to do, in watts: then energy tells what inference costs."
        yield "# idle_w = 2.7"
    yield ""


def _power(world: World) -> PowerSource | Unavailable:
    """Look for a power meter, as the agent would."""
    source = find_source(world.clock, settings.MetricsConfig(), world.root, BackgroundReader)
    if isinstance(source, PowerSource):
        source.close()
    return source


def _pipelines(found: DetectedHardware) -> Iterator[str]:
    for accelerator, bus in found.accelerators:
        yield f"# Found: {accelerator.title} ({bus}). Models named *{accelerator.file_mark}.tflite run on it."
        yield ""
    tables = [*_cameras(found), *_sensors(found)]
    yield from (line for table in tables for line in table)
    if not any(line == "[[pipeline]]" for table in tables for line in table):
        yield from _example()


def _cameras(found: DetectedHardware) -> Iterator[list[str]]:
    for device in found.cameras:
        if CAMERA_KIND in found.kinds:
            yield _pipeline(_name(device), f'source = {{ kind = "{CAMERA_KIND}", path = {_quoted(device)} }}')
        else:
            yield [NO_KIND.format(what=f"the camera {device}", kind=CAMERA_KIND), ""]


def _sensors(found: DetectedHardware) -> Iterator[list[str]]:
    for sensor in found.sensors:
        if COMMAND_KIND in found.kinds:
            yield _pipeline(sensor, f'source = {{ kind = "{COMMAND_KIND}", preset = "rpicam" }}')
        else:
            yield [NO_KIND.format(what=f"the CSI camera {sensor}", kind=COMMAND_KIND), ""]


def _example() -> Iterator[str]:
    """Yield the digits example, which needs nothing."""
    clip = bundled("digits") / "clip.avi"
    yield "# No camera was found: the digits model on the clip that comes with inferd."
    yield from (
        "[[pipeline]]",
        'name = "digits"',
        "# To use a model of yours: its name in the drop folder, or its path. Without this line, the newest one there.",
        f"model = {_quoted(bundled('digits'))}",
        f'source = {{ kind = "video", path = {_quoted(clip)} }}',
    )
    yield "# Start the clip again at its end."
    yield 'pace = { at_end = "loop" }'


def _pipeline(name: str, source: str) -> list[str]:
    return [
        "[[pipeline]]",
        f'name = "{name}"',
        "# It follows the newest model in the drop folder; before the first one, the digits model that comes with inferd.",
        "# To choose one: its name there, or the path of a .tflite or .onnx file or of a folder that holds one.",
        '# model = "faces"',
        source,
        "",
    ]


def _name(device: str) -> str:
    """Return a pipeline's name for a camera: letters, digits, - and _."""
    short = re.sub(r"^usb-|-video-index\d+$", "", device.rpartition("/")[2])
    return re.sub(r"[^A-Za-z0-9]+", "-", short).strip("-")[:32].rstrip("-").lower() or "camera"


def _quoted(path: object) -> str:
    return msgspec.json.encode(str(path)).decode()  # a JSON string is a TOML string
