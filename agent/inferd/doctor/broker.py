"""Judges the way to the broker."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from inferd.config.load import device_id
from inferd.doctor.check import Check, Fault
from inferd.doctor.handshake import Greeting, Outcome, greet
from inferd.doctor.hardware import may_read
from inferd.doctor.wanted import Broker, tls_of
from inferd.doctor.world import World
from inferd.records import Unavailable
from inferd.wire.topics import client_id

LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})
REPLY_S = 1.0  # a broker that takes longer to say hello is told as not answering


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """The broker that is configured, what it said, and how the device's clock stands; `broker` None where none is.

    Attributes:
        file: the configuration file.
        mosquitto: whether a broker is installed on this device.
        today: the date that this device believes in.
    """

    broker: Broker | None
    greeting: Greeting
    file: str
    mosquitto: bool
    today: str

    @property
    def address(self) -> str:
        """Where the broker is, for people."""
        return f"{self.broker.host}:{self.broker.port}" if self.broker else ""

    @property
    def local(self) -> bool:
        """Whether the broker is on this device."""
        return self.broker is not None and self.broker.host in LOCAL


@dataclass(frozen=True, slots=True)
class PasswordFacts:
    """The file of the broker's password; `path` is "" where none is configured."""

    path: str
    there: bool
    readable: bool
    open_to_all: bool
    user: str


def read_broker(world: World) -> BrokerFacts | Unavailable:
    """Greet the broker that is configured; with no configuration, none is missed."""
    broker = _configured(world) if world.is_configured else None
    if broker and broker.password_file and world.read(broker.password_file) is None:
        return Unavailable(f"{broker.password_file}: the broker's password cannot be read; run the doctor with sudo")
    return BrokerFacts(
        broker=broker,
        greeting=_greet(world, broker) if broker else Greeting("welcome"),
        file=world.config_file,
        mosquitto=world.which("mosquitto") is not None,
        today=datetime.fromtimestamp(world.clock.wall_s(), UTC).strftime("%Y-%m-%d"),
    )


def read_password(world: World) -> PasswordFacts:
    """Look at the password file, not into it."""
    path = world.configured.mqtt.password_file
    file = world.at(path) if path else None
    there = file is not None and file.is_file()
    return PasswordFacts(
        path=path,
        there=there,
        readable=file is not None and there and may_read(file, world.user),
        open_to_all=file is not None and there and bool(file.stat().st_mode & stat.S_IROTH),
        user=world.user.name,
    )


def judge_password(facts: PasswordFacts) -> Iterator[Fault]:
    """Yield a fault where the password file is missing, closed to us, or open to everybody."""
    if facts.path and not facts.there:
        mend = f"sudo install -m 600 -o {facts.user} /dev/stdin {facts.path}  # type the password, Enter, Ctrl-D"
        yield Fault("the broker's password file is not there", facts.path, mend)
    elif facts.path and not facts.readable:
        mend = f"sudo chown {facts.user} {facts.path}"
        yield Fault(f"user {facts.user} may not read the broker's password", facts.path, mend)
    elif facts.open_to_all:
        yield Fault(
            "everybody on this device may read the broker's password",
            facts.path,
            f"chmod o-rwx {facts.path}",
            "warning",
        )


def judge_reachable(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield a fault where nothing answers."""
    said = facts.greeting.said
    match facts.greeting.outcome:
        case "no-name":
            yield _fault(facts, f"the name {facts.broker.host if facts.broker else ''} cannot be resolved", "host")
        case "refused" if facts.local:
            mend = "sudo systemctl start mosquitto" if facts.mosquitto else "sudo apt-get install mosquitto"
            yield Fault("no broker listens on this device", facts.address, mend)
        case "refused":
            yield _fault(facts, "nothing listens there", "host and port")
        case "unreachable":
            yield _fault(facts, f"it does not answer ({said})", "host and port")
        case "other":
            yield _fault(facts, f"what listens there is no broker for us: {said}", "host and port")


def judge_login(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield a fault where the broker knows us not."""
    if facts.greeting.outcome == "login" and facts.broker:
        who = f"user {facts.broker.username!r}" if facts.broker.username else "anyone without a user name"
        key = facts.broker.password_file or "username and password_file under [mqtt]"
        yield Fault(f"the broker refuses {who} ({facts.greeting.said})", facts.address, _correct(facts, key))


def judge_expired(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield a fault where the broker's certificate has expired."""
    yield from _when(
        facts,
        ("expired",),
        f"the broker's certificate has expired (today is {facts.today})",
        "renew the certificate on the broker, then: sudo systemctl reload mosquitto",
    )


def judge_clock(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield a fault where the device's clock stands before the certificate begins."""
    yield from _when(
        facts,
        ("not-yet",),
        f"the broker's certificate is not valid yet: this device's clock is behind (it says {facts.today})",
        "sudo timedatectl set-ntp true",
    )


def judge_name(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield a fault where the certificate is for another name."""
    said = facts.greeting.said.rstrip(".")
    yield from _when(
        facts,
        ("wrong-name",),
        f"the broker's certificate is for another name ({said})",
        f"set mqtt.host in {facts.file} to the name that the certificate has",
    )


def judge_authority(facts: BrokerFacts) -> Iterator[Fault]:
    """Yield a fault where nobody we trust has signed the certificate, or the handshake fails otherwise."""
    yield from _when(
        facts,
        ("authority", "tls"),
        f"TLS fails: {facts.greeting.said}",
        f"set mqtt.ca_file in {facts.file} to the certificate of the authority that signed the broker's",
    )


def _when(facts: BrokerFacts, outcomes: Iterable[Outcome], what: str, mend: str) -> Iterator[Fault]:
    if facts.greeting.outcome in outcomes:
        yield Fault(what, facts.address, mend)


def _fault(facts: BrokerFacts, what: str, keys: str) -> Fault:
    return Fault(what, facts.address, f"start the broker, or correct {keys} under [mqtt] in {facts.file}")


def _correct(facts: BrokerFacts, key: str) -> str:
    return f"correct {key} in {facts.file}" if " " in key else f"write the right password into {key}"


def _configured(world: World) -> Broker | None:
    """Return the broker that is to be used, None where none is."""
    mqtt = world.configured.mqtt
    if not mqtt.enabled:
        return None
    own_id = f"{client_id(mqtt.prefix, device_id(world.configured))}-doctor"
    return Broker(mqtt.host, mqtt.port, mqtt.username, mqtt.password_file, own_id, tls_of(mqtt))


def _greet(world: World, broker: Broker) -> Greeting:
    return greet(broker, _password(world, broker.password_file), min(REPLY_S, world.left_s()))


def _password(world: World, path: str) -> str:
    """Return the password, "" where it cannot be read, which another check tells."""
    return (world.read(path) or "") if path else ""


CHECKS = (
    Check(
        "broker.password-file",
        "whether the broker's password file is there, readable by the service, and by nobody else",
        "without the password the broker refuses us; with it anybody could speak as this device",
        judge_password,
        (read_password,),
    ),
    Check(
        "broker.unreachable",
        "whether the configured broker answers",
        "results wait in bounded memory while the broker is away; the oldest go first",
        judge_reachable,
        (read_broker,),
    ),
    Check(
        "broker.login",
        "whether the broker accepts user name and password",
        "nothing reaches a broker that refuses the login",
        judge_login,
        (read_broker,),
    ),
    Check(
        "broker.certificate-expired",
        "whether the broker's certificate is still valid",
        "no connection is made to a broker that cannot prove who it is",
        judge_expired,
        (read_broker,),
    ),
    Check(
        "broker.clock-behind",
        "whether this device's clock is behind the start of the broker's certificate",
        "a board without a clock starts in the past, and TLS waits until it knows the time",
        judge_clock,
        (read_broker,),
    ),
    Check(
        "broker.wrong-name",
        "whether the broker's certificate carries the name that we call it by",
        "a certificate for another name may be another machine's",
        judge_name,
        (read_broker,),
    ),
    Check(
        "broker.authority",
        "whether an authority that we trust has signed the broker's certificate",
        "anybody can make a certificate; only a trusted signature tells whose it is",
        judge_authority,
        (read_broker,),
    ),
)
