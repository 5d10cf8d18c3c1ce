"""What the doctor is given to look at: a root, an environment, a Python, a configuration, a user, a clock.

Paths of this machine are only ever reached through `World.at`, and programs through `World.which`, so that a fixture tree
is as good as a machine.
"""

from __future__ import annotations

import os
import platform
import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from inferd.bundled_files import bundled, digits_pipeline
from inferd.config import settings
from inferd.config.load import SYSTEM_STATE_DIR, LoadedConfig, load
from inferd.config.mqtt import SERVICE_CREDENTIALS
from inferd.doctor.readers.run_program import ProgramRun, run
from inferd.errors import ConfigError
from inferd.system.clock import Clock

SYSTEM_FILE = "etc/inferd/inferd.toml"
USER = "inferd"  # whom the service runs as
OF_SERVICE = {"STATE_DIRECTORY": str(SYSTEM_STATE_DIR), "CREDENTIALS_DIRECTORY": SERVICE_CREDENTIALS}
POINTER_32_BIT = 4
PROGRAM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter, as far as wheels and imports depend on it.

    Attributes:
        executable: its full path.
        version: major and minor.
        architecture: of its own code: "armv7l" for a 32-bit Python on a 64-bit kernel.
        libc: "glibc", or "" for another one.
        path: where it finds packages.
    """

    executable: str
    version: tuple[int, int]
    architecture: str
    libc: str
    path: tuple[str, ...]

    @property
    def title(self) -> str:
        """The name a person reads, such as "Python 3.11 (aarch64)"."""
        return f"Python {self.version[0]}.{self.version[1]} ({self.architecture})"

    def pip(self, arguments: str) -> str:
        """Return the command that has this interpreter's pip do something."""
        return f"{self.executable} -m pip {arguments}"

    def installed(self, distribution: str) -> str | None:
        """Return the version of an installed distribution, None where there is none."""
        found = next(iter(metadata.distributions(name=distribution, path=list(self.path))), None)
        return found.version if found else None


@dataclass(frozen=True, slots=True)
class User:
    """For whom permissions are judged."""

    name: str
    uid: int
    gids: frozenset[int]


@dataclass(frozen=True, slots=True)
class World:
    """Everything a reader may look at.

    Attributes:
        root: "/" or a fixture tree.
        environment: of the process that asks.
        python: the interpreter that runs inferd.
        config_path: the configuration that the service would read, None for none.
        config: what is configured, or why it cannot be read.
        user: the service's user, or whoever asks.
        clock: times the examination.
        ends_ns: when readers must be through, monotonic.
        model: a small model for trying the runtime.
    """

    root: Path
    environment: Mapping[str, str]
    python: Python
    config_path: Path | None
    config: LoadedConfig | ConfigError
    user: User
    clock: Clock
    ends_ns: int
    model: Path

    def at(self, path: str | Path) -> Path:
        """Return where a path of this machine lies."""
        return self.root / str(path).lstrip("/") if str(path).startswith("/") else Path(path)

    def named(self, place: str | Path) -> str:
        """Return what this machine calls a place; the reverse of `at`."""
        above = "" if self.root == Path("/") else str(self.root)
        return str(place).removeprefix(above)

    def read(self, path: str) -> str | None:
        """Return the text of a small file, stripped; None where there is none or it may not be read."""
        try:
            with self.at(path).open("rb") as stream:
                return stream.read(65536).decode(errors="replace").strip("\0\n ")
        except OSError:
            return None

    def which(self, program: str) -> Path | None:
        """Return where a program lies, looking also where only root's PATH does; None where there is none."""
        folders = [*self.environment.get("PATH", "").split(os.pathsep), *PROGRAM_FOLDERS]
        places = [program] if program.startswith("/") else [f"{folder}/{program}" for folder in folders if folder]
        return next((file for place in places if os.access(file := self.at(place), os.X_OK) and file.is_file()), None)

    def run(self, program: str, *arguments: str) -> ProgramRun | None:
        """Run a program until it ends or time is up; None where there is no such program."""
        found = self.which(program)
        return run([str(found), *arguments], self.left_s(), self.environment) if found else None

    def run_briefly(self, timeout_s: float, program: str, *arguments: str) -> ProgramRun | None:
        """Run a program for at most so long; None where there is no such program."""
        found = self.which(program)
        return run([str(found), *arguments], min(timeout_s, self.left_s()), self.environment) if found else None

    def run_python(self, *arguments: str) -> ProgramRun:
        """Run our own interpreter until it ends or time is up."""
        return run([self.python.executable, *arguments], self.left_s(), self.environment)

    def left_s(self) -> float:
        """Return how much time is left; never nothing, so that who comes last still gets an answer or a time-out."""
        return max(0.05, (self.ends_ns - self.clock.monotonic_ns()) / 1e9)

    @property
    def board(self) -> str:
        """What the firmware calls this board; "" on a PC."""
        return self.read("/proc/device-tree/model") or ""

    @property
    def configured(self) -> settings.Config:
        """The configuration; the defaults where it cannot be read."""
        return self.config.config if isinstance(self.config, LoadedConfig) else settings.Config()

    @property
    def sees_all(self) -> bool:
        """Whether we may look at everything that the user may, so that what is closed to us is closed to it."""
        return os.geteuid() in (0, self.user.uid)

    @property
    def is_configured(self) -> bool:
        """Whether there is a configuration, and it is right."""
        return isinstance(self.config, LoadedConfig) and bool(self.config.files)

    @property
    def config_file(self) -> str:
        """The file to change; "" where nothing is configured."""
        return self.named(self.config_path) if self.config_path else ""

    @property
    def pipelines(self) -> tuple[settings.Pipeline, ...]:
        """What would run: as configured, the built-in example without any; nothing where the configuration is wrong."""
        if not isinstance(self.config, LoadedConfig):
            return ()
        return self.config.config.pipeline or (digits_pipeline(),)


def look_around(config_file: Path | None, environment: Mapping[str, str], clock: Clock, within_s: float) -> World:
    """Return this machine's world, to be read within so much time."""
    root = Path("/")
    file = configuration_file(root, config_file, environment)
    return World(
        root=root,
        environment=environment,
        python=this_python(),
        config_path=file,
        config=configuration(file),
        user=who(root, for_service=config_file is None),
        clock=clock,
        ends_ns=clock.monotonic_ns() + int(within_s * 1e9),
        model=bundled("digits") / "model.tflite",
    )


def configuration_file(root: Path, explicit: Path | None, environment: Mapping[str, str]) -> Path | None:
    """Return the configuration that the service would read, None where there is none."""
    if explicit is not None:
        return explicit
    if named := environment.get("INFERD_CONFIG"):
        return Path(named)
    return root / SYSTEM_FILE if (root / SYSTEM_FILE).exists() else None


def configuration(file: Path | None) -> LoadedConfig | ConfigError:
    """Return what is configured, as the service would read it, or what is wrong with it."""
    try:
        return load(file, OF_SERVICE) if file else LoadedConfig(settings.Config(), ())
    except ConfigError as exc:
        return exc


def this_python() -> Python:
    """Return the interpreter that runs this."""
    machine = platform.machine()
    narrow = struct.calcsize("P") == POINTER_32_BIT and machine == "aarch64"
    return Python(
        executable=sys.executable,
        version=sys.version_info[:2],
        architecture="armv7l" if narrow else machine,
        libc=platform.libc_ver()[0],
        path=tuple(sys.path),
    )


def who(root: Path, *, for_service: bool) -> User:
    """Return the service's user where there is one and it is the service that is asked about, else whoever asks."""
    if (for_service or os.geteuid() == 0) and (service := find_user(root, USER)):
        return service
    name = next((name for name, uid in _uids(root) if uid == os.geteuid()), str(os.geteuid()))
    return User(name, os.geteuid(), frozenset((os.getegid(), *os.getgroups())))


def find_user(root: Path, name: str) -> User | None:
    """Return a user of /etc/passwd and /etc/group, None where there is none of that name."""
    for fields in _lines(root / "etc/passwd"):
        if fields[0] == name and len(fields) > 3:  # noqa: PLR2004 - name:x:uid:gid
            groups = {int(group[2]) for group in _lines(root / "etc/group") if name in group[-1].split(",")}
            return User(name, int(fields[2]), frozenset({int(fields[3]), *groups}))
    return None


def group_name(root: Path, gid: int) -> str:
    """Return a group's name, its number where it has none."""
    return next((fields[0] for fields in _lines(root / "etc/group") if fields[2] == str(gid)), str(gid))


def _uids(root: Path) -> Iterator[tuple[str, int]]:
    for fields in _lines(root / "etc/passwd"):
        yield fields[0], int(fields[2])


def _lines(file: Path) -> Sequence[Sequence[str]]:
    """Return the lines of a file like /etc/passwd, split; damaged ones are left out."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return ()
    split = [line.split(":") for line in text.splitlines()]
    return [fields for fields in split if len(fields) > 2 and fields[2].isdigit()]  # noqa: PLR2004 - name:x:number
