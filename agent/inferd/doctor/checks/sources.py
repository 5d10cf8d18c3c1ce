"""Judges where frames come from: files, cameras, programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inferd.config import settings
from inferd.control.commands.local_socket import NAME as SOCKET
from inferd.doctor.check import Check, Problem
from inferd.doctor.checks.runtime import read_opencv
from inferd.doctor.checks.storage import agent_folder
from inferd.doctor.readers.hardware import Holder, find_cameras, find_sensors, holders, may_be_camera, may_read, may_use
from inferd.doctor.readers.network_camera import CameraAnswer, ask_camera
from inferd.doctor.readers.recordings import truncated
from inferd.doctor.readers.requirements import camera, file, program, takes_pictures
from inferd.doctor.readers.run_probe_child import ProbeSteps
from inferd.doctor.readers.world import World, group_name
from inferd.system.files.password import read_password
from inferd.system.urls import shown_url

RPICAM = ("rpicam-vid", "libcamera-vid")  # the second is its name until 2023
INSTALL_RPICAM = "sudo apt-get install rpicam-apps-lite"
PACKAGES = {"arecord": "alsa-utils", "v4l2-ctl": "v4l-utils", "gst-launch-1.0": "gstreamer1.0-tools"}
# They watch every camera of a desktop and stream from none of them.
SENSORS = "/sys/bus/iio/devices"
CAMERA_S = 2.0
COMMAND_S = 1.0  # what ends with an error does so at once; what gives frames is stopped
MOST_SAID = 200
REFUSED = 400
WATCHERS = frozenset({"pipewire", "wireplumber"})


@dataclass(frozen=True, slots=True)
class SourceFileFacts:
    """A file, folder or pattern that a pipeline reads: whether it is there and readable, and whether a recording is whole."""

    pipeline: str
    path: str
    there: bool
    readable: bool
    user: str
    cut: str = ""


@dataclass(frozen=True, slots=True)
class CameraFacts:
    """A camera that a pipeline reads.

    Attributes:
        device: as configured.
        there: whether the device file exists.
        others: the cameras that are there.
        group: who may use it, where `user` may not; "" where it may.
        holder: the program that has it, None where none has.
        is_camera: False for a device file of another kind, such as /dev/null.
    """

    pipeline: str
    device: str
    there: bool
    others: tuple[str, ...]
    user: str
    group: str
    holder: Holder | None
    is_camera: bool = True


@dataclass(frozen=True, slots=True)
class ProgramFacts:
    """Programs that give frames: what is wanted by which pipeline, what of it is there, and CSI sensors."""

    wanted: dict[str, str]
    found: frozenset[str]
    sensors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """Pipelines whose frames are pictures, and how OpenCV is installed here."""

    pipelines: tuple[str, ...]
    install: str


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """A camera on the network: its address without credentials, and how it answered."""

    pipeline: str
    address: str
    answer: CameraAnswer


@dataclass(frozen=True, slots=True)
class SensorFacts:
    """A sensor that a pipeline reads, and the names of those that are there; both as the kernel calls them."""

    pipeline: str
    device: str
    present: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CommandFacts:
    """A program that a pipeline starts and that ended by itself: its name, how, and the last line of its error output."""

    pipeline: str
    program: str
    ended: str
    said: str


def read_streams(world: World) -> tuple[StreamFacts, ...]:
    """Ask each camera on the network for its stream."""
    found = []
    for one in world.pipelines:
        if isinstance(source := one.source, settings.StreamSource):
            password = _password(world, source.password_file)
            answer = ask_camera(source.url, source.username, password, min(CAMERA_S, world.left_s()))
            if answer is not None:
                found.append(StreamFacts(one.name, shown_url(source.url), answer))
    return tuple(found)


def read_sensors(world: World) -> tuple[SensorFacts, ...]:
    """Look for the sensors that pipelines read."""
    folders = sorted(world.at(SENSORS).glob("iio:device*"))
    present = tuple((world.read(f"{SENSORS}/{folder.name}/name") or "", folder.name) for folder in folders)
    names = tuple(name for pair in present for name in pair if name)
    wanted = [(one.name, one.source.device) for one in world.pipelines if isinstance(one.source, settings.IioSource)]
    return tuple(SensorFacts(name, device, names) for name, device in wanted if "/" not in device)


def read_commands(world: World) -> tuple[CommandFacts, ...]:
    """Start the programs that pipelines start, for a moment, unless an agent runs them already; keep those that fail."""
    if (agent_folder(world) / SOCKET).exists():
        return ()
    ended = []
    for one in world.pipelines:
        source = one.source
        if isinstance(source, settings.CommandSource) and source.command and world.which(source.command[0]):
            ran = world.run_briefly(COMMAND_S, *source.command)
            if ran is not None and not ran.timed_out and ran.code != 0:
                last = ran.err.strip().splitlines()[-1:] or [""]
                ended.append(CommandFacts(one.name, source.command[0], ran.ended, last[0][:MOST_SAID]))
    return tuple(ended)


def judge_streams(facts: tuple[StreamFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each camera on the network that refuses."""
    for one in facts:
        who = f"the camera of pipeline {one.pipeline}"
        match one.answer.code:
            case 401 | 403:
                mend = "set username and password_file of the source"
                yield Problem(f"{who} refuses the login (status {one.answer.code})", one.address, mend)
            case 404:
                yield Problem(
                    f"{who} has no such stream (status 404)", one.address, "set url of the source to its stream"
                )
            case 0:
                mend = f"switch the camera on, or correct url: ping {one.address.split('/')[2].rpartition(':')[0]}"
                yield Problem(f"{who} does not answer ({one.answer.reason})", one.address, mend)
            case code if code >= REFUSED:
                yield Problem(f"{who} refuses (status {code})", one.address, "set url of the source to its stream")


def judge_sensors(facts: tuple[SensorFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each sensor that is not there."""
    for one in facts:
        if one.device not in one.present:
            there = f"; there are {', '.join(one.present)}" if one.present else ""
            mend = f'set device = "{one.present[0]}"' if one.present else f"ls {SENSORS}"
            yield Problem(f"the sensor of pipeline {one.pipeline} is not there{there}", one.device, mend)


def judge_commands(facts: tuple[CommandFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each program that ends with an error instead of giving frames."""
    for one in facts:
        said = f": {one.said}" if one.said else ""
        yield Problem(
            f"the program of pipeline {one.pipeline} {one.ended}{said}",
            one.program,
            "run the command by hand and correct it",
        )


def judge_recordings(facts: tuple[SourceFileFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each recording that is empty, or shorter than it says."""
    for one in facts:
        if one.cut:
            yield Problem(
                f"the recording of pipeline {one.pipeline} {one.cut}", one.path, f"copy it again: ls -l {one.path}"
            )


def judge_not_a_camera(facts: tuple[CameraFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each device file that is no camera."""
    for one in facts:
        if one.there and not one.is_camera:
            mend = f'set path = "{one.others[0]}"' if one.others else "plug the camera in, then: ls -l /dev/v4l/by-id"
            yield Problem(f"the camera of pipeline {one.pipeline} is another kind of device", one.device, mend)


def read_files(world: World) -> tuple[SourceFileFacts, ...]:
    """Look for the files that pipelines read."""
    return tuple(_file_facts(world, one.name, path) for one in world.pipelines if (path := file(one)))


def read_cameras(world: World) -> tuple[CameraFacts, ...]:
    """Look at the cameras that pipelines read."""
    return tuple(_camera_facts(world, one.name, device) for one in world.pipelines if (device := camera(one)))


def read_programs(world: World) -> ProgramFacts:
    """Look for the programs that pipelines need, and for camera sensors that need one."""
    wanted = {one.name: name for one in world.pipelines if (name := program(one))}
    names = {*wanted.values(), *RPICAM}
    return ProgramFacts(wanted, frozenset(name for name in names if world.which(name)), find_sensors(world))


def read_pictures(world: World) -> PictureFacts:
    """List the pipelines that need OpenCV."""
    pip = world.python.pip("install opencv-python-headless")
    install = "sudo apt-get install python3-opencv" if world.python.architecture == "armv7l" else pip
    return PictureFacts(tuple(one.name for one in world.pipelines if takes_pictures(one)), install)


def judge_opencv(facts: PictureFacts, steps: ProbeSteps) -> Iterator[Problem]:
    """Yield a fault where pictures are to be read without OpenCV."""
    step = steps.get("opencv")
    if facts.pipelines and step and step.failed:
        fact = f"OpenCV cannot be imported ({step.reason}), but pipeline {', '.join(facts.pipelines)} takes pictures"
        yield Problem(fact, "Python packages", facts.install)


def judge_files(facts: tuple[SourceFileFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each input that is not there or may not be read."""
    for one in facts:
        if not one.there:
            yield Problem(
                f"pipeline {one.pipeline} reads what is not there", one.path, f"put it there: ls -l {one.path}"
            )
        elif not one.readable:
            group = f"sudo usermod --append --groups dialout {one.user}"  # serial ports are its
            mend = group if one.path.startswith("/dev/") else f"sudo chmod -R a+rX {one.path}"
            yield Problem(f"user {one.user} may not read it", one.path, mend)


def judge_camera_missing(facts: tuple[CameraFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each camera that is not there."""
    for one in facts:
        if not one.there:
            mend = f'set path = "{one.others[0]}"' if one.others else "plug the camera in, then: ls -l /dev/v4l/by-id"
            yield Problem(f"the camera of pipeline {one.pipeline} is not there", one.device, mend)


def judge_camera_rights(facts: tuple[CameraFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each camera that the user may not use."""
    for one in facts:
        if one.group:
            group = "video" if one.group == "root" else one.group
            mend = f"sudo usermod --append --groups {group} {one.user}"
            yield Problem(f"user {one.user} may not use the camera of pipeline {one.pipeline}", one.device, mend)


def judge_camera_busy(facts: tuple[CameraFacts, ...]) -> Iterator[Problem]:
    """Yield a fault for each camera that another program has."""
    for one in facts:
        if one.holder:
            fact = f"{one.holder.name} (process {one.holder.pid}) has the camera of pipeline {one.pipeline}"
            yield Problem(fact, one.device, f"kill {one.holder.pid}")


def judge_programs(facts: ProgramFacts) -> Iterator[Problem]:
    """Yield a fault for each program that a pipeline starts and that is not there."""
    for pipeline, name in facts.wanted.items():
        if name not in facts.found and name not in RPICAM:
            mend = f"sudo apt-get install {PACKAGES.get(name, name)}"
            yield Problem(f"pipeline {pipeline} starts {name}, which is not there", name, mend)


def judge_rpicam(facts: ProgramFacts) -> Iterator[Problem]:
    """Yield a fault where a CSI camera, or a pipeline, needs rpicam-vid."""
    users = [pipeline for pipeline, name in facts.wanted.items() if name in RPICAM and name not in facts.found]
    if users:
        yield Problem(
            f"rpicam-vid is not there, but pipeline {', '.join(users)} starts it", "rpicam-vid", INSTALL_RPICAM
        )
    elif facts.sensors and not facts.found.intersection(RPICAM):
        fact = f"a CSI camera ({', '.join(facts.sensors)}) is there, but not rpicam-vid, which reads it"
        yield Problem(fact, "rpicam-vid", INSTALL_RPICAM, "warning")


def _file_facts(world: World, pipeline: str, path: str) -> SourceFileFacts:
    found = world.at(path)
    if "*" in path or "?" in path:
        first = next(iter(sorted(found.parent.glob(found.name))), None)
    else:
        first = found if found.exists() else None
    readable = first is not None and may_read(first, world.user)
    cut = truncated(first) if first is not None and readable and first.is_file() else ""
    return SourceFileFacts(pipeline, path, first is not None, readable, world.user.name, cut)


def _camera_facts(world: World, pipeline: str, device: str) -> CameraFacts:
    node = world.at(device)
    there = node.exists()
    return CameraFacts(
        pipeline=pipeline,
        device=device,
        there=there,
        others=find_cameras(world),
        user=world.user.name,
        group=_closed_to(world, node) if there else "",
        holder=_holder(world, device) if there else None,
        is_camera=not there or may_be_camera(node),
    )


def _password(world: World, path: str) -> str:
    """Return a camera's password, "" where it cannot be read, which other checks report."""
    try:
        return read_password(world.at(path)).text if path else ""
    except (OSError, ValueError):
        return ""


def _closed_to(world: World, node: Path) -> str:
    """Return the group that may use a device file, "" where our user may."""
    return "" if may_use(node, world.user) else group_name(world.root, node.stat().st_gid)


def _holder(world: World, device: str) -> Holder | None:
    return next((one for one in holders(world, device) if not one.ours and one.name not in WATCHERS), None)


CHECKS = (
    Check(
        "sources.stream",
        "whether each camera on the network answers and accepts the login",
        "a camera that refuses gives no frames",
        judge_streams,
        (read_streams,),
    ),
    Check(
        "sources.sensor",
        "whether each configured sensor is there",
        "a pipeline without its sensor waits",
        judge_sensors,
        (read_sensors,),
    ),
    Check(
        "sources.command",
        "whether the programs that pipelines start stay alive (tried for a moment while no agent runs)",
        "a program that ends with an error is started again and again and gives no frames",
        judge_commands,
        (read_commands,),
    ),
    Check(
        "sources.recording",
        "whether recordings are as long as they say",
        "a recording that was cut cannot be opened, or ends early",
        judge_recordings,
        (read_files,),
    ),
    Check(
        "sources.not-a-camera",
        "whether each configured camera is a video device",
        "another device cannot be opened as a camera",
        judge_not_a_camera,
        (read_cameras,),
    ),
    Check(
        "sources.opencv",
        "whether OpenCV can be imported in a child process when a pipeline takes pictures",
        "pictures are decoded and scaled by OpenCV",
        judge_opencv,
        (read_pictures, read_opencv),
    ),
    Check(
        "sources.file",
        "whether the files, folders and patterns that pipelines read are there and readable",
        "a pipeline without input waits",
        judge_files,
        (read_files,),
    ),
    Check(
        "sources.camera-missing",
        "whether each configured camera is there",
        "a pipeline without its camera waits",
        judge_camera_missing,
        (read_cameras,),
    ),
    Check(
        "sources.camera-permission",
        "whether the service's user may use each configured camera",
        "a camera that may not be opened gives no frames",
        judge_camera_rights,
        (read_cameras,),
    ),
    Check(
        "sources.camera-busy",
        "whether another program has a configured camera open",
        "a camera streams to one program at a time",
        judge_camera_busy,
        (read_cameras,),
    ),
    Check(
        "sources.program",
        "whether the programs that pipelines start for their frames are installed",
        "a pipeline whose program cannot be started waits",
        judge_programs,
        (read_programs,),
    ),
    Check(
        "sources.rpicam",
        "whether rpicam-vid is installed where a camera hangs on the CSI connector",
        "the CSI cameras of a Raspberry Pi are read through libcamera; OpenCV cannot",
        judge_rpicam,
        (read_programs,),
    ),
)
