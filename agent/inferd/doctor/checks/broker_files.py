"""Judges the files that the connection to the broker needs: password, certificates, keys. It shows nothing of their content."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inferd.config.mqtt import FILES, SERVICE_CREDENTIALS
from inferd.doctor.check import Check, Problem
from inferd.doctor.readers.hardware import may_read
from inferd.doctor.readers.world import World
from inferd.records import Unavailable
from inferd.system.files.password import read_password

PASSWORD = "password_file"  # noqa: S105 - a key of the configuration
SECRET = ("key_file", "seal_key_file")


@dataclass(frozen=True, slots=True)
class MqttFileFacts:
    """A file that the table [mqtt] names.

    Attributes:
        key: which names it.
        path: as configured.
        there: whether it is a file.
        readable: whether the service's user may read it.
        open_to_all: whether everybody may.
        user: for whom this was judged.
        config: the configuration file.
        hint: what a password file holds besides the password, or why it cannot be read as text; "" if all is well.
    """

    key: str
    path: str
    there: bool
    readable: bool
    open_to_all: bool
    user: str
    config: str
    hint: str = ""


def read_files(world: World) -> tuple[MqttFileFacts, ...] | Unavailable:
    """Look at each file that is configured; systemd's credentials are there only while the service runs."""
    named = {key: str(getattr(world.configured.mqtt, key)) for key in FILES}
    named = {key: path for key, path in named.items() if path}
    lent = [path for path in named.values() if path.startswith(SERVICE_CREDENTIALS)]
    if lent and not world.at(SERVICE_CREDENTIALS).is_dir():
        return Unavailable(f"{lent[0]}: systemd gives it only to the running service; start inferd, then ask again")
    return tuple(_facts(world, key, path) for key, path in named.items())


def judge_password(files: tuple[MqttFileFacts, ...]) -> Iterator[Problem]:
    """Yield a fault where the password file is missing, closed to us, open to everybody, or holds more than a password."""
    for one in files:
        if one.key == PASSWORD:
            typed = f"sudo install -m 600 -o {one.user} /dev/stdin {one.path}  # type the password, Enter, Ctrl-D"
            yield from _judge(one, "the broker's password", "the broker's password file", typed)
            if one.hint:
                fact, _, remedy = one.hint.partition("; ")
                yield Problem(f"the broker's password file: {fact}", one.path, remedy or typed, "warning")


def judge_tls(files: tuple[MqttFileFacts, ...]) -> Iterator[Problem]:
    """Yield a fault where a certificate or key is missing or closed to us, or a key is open to everybody."""
    for one in files:
        if one.key != PASSWORD:
            yield from _judge(one, f"mqtt.{one.key}", f"mqtt.{one.key}", f"correct mqtt.{one.key} in {one.config}")


def _judge(one: MqttFileFacts, what: str, file: str, missing: str) -> Iterator[Problem]:
    lent = one.path.startswith(SERVICE_CREDENTIALS)
    if not one.there and lent:
        mend = f"sudo systemctl edit inferd  # [Service] LoadCredential={Path(one.path).name}:FILE"
        yield Problem(f"{file} names a credential that systemd does not give", one.path, mend)
    elif not one.there:
        yield Problem(f"{file} is not there", one.path, missing)
    elif not one.readable:
        yield Problem(f"user {one.user} may not read {what}", one.path, f"sudo chown {one.user} {one.path}")
    elif one.open_to_all and one.key in (PASSWORD, *SECRET):
        yield Problem(f"everybody on this device may read {what}", one.path, f"chmod o-rwx {one.path}", "warning")


def _facts(world: World, key: str, path: str) -> MqttFileFacts:
    file, lent = world.at(path), path.startswith(SERVICE_CREDENTIALS)  # those belong to the service, by ACL
    there = file.is_file()
    return MqttFileFacts(
        key=key,
        path=path,
        there=there,
        readable=there and (lent or may_read(file, world.user)),
        open_to_all=there and not lent and bool(file.stat().st_mode & stat.S_IROTH),
        user=world.user.name,
        config=world.config_file,
        hint=_hint(file) if key == PASSWORD and there else "",
    )


def _hint(file: Path) -> str:
    """Return what is wrong with a password file's content; "" where it is well, or closed to us."""
    try:
        return read_password(file).hint
    except OSError:
        return ""
    except ValueError as exc:
        return str(exc)


CHECKS = (
    Check(
        "broker.password-file",
        "whether the broker's password file is there, readable by the service alone, and holds the password alone",
        "without the password the broker refuses us; with it anybody could speak as this device",
        judge_password,
        (read_files,),
    ),
    Check(
        "broker.tls-file",
        "whether certificates and keys are there, readable by the service, and keys by nobody else",
        "without them there is no connection; with a key anybody could speak as this device",
        judge_tls,
        (read_files,),
    ),
)
