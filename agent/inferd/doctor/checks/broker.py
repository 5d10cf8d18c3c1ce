"""Judges the way to the broker."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import astuple, dataclass, replace
from datetime import UTC, datetime

from inferd.config.load import device_id
from inferd.config.mqtt import LOCAL_HOSTS, request_access, strangers_may
from inferd.doctor.check import Check, Problem
from inferd.doctor.readers.listening_ports import is_reachable
from inferd.doctor.readers.mqtt_handshake import Handshake, Outcome, greet
from inferd.doctor.readers.requirements import BrokerAddress, Tls, tls_of
from inferd.doctor.readers.world import World
from inferd.records import Unavailable
from inferd.system.files.password import read_password
from inferd.wire.topics import client_id

REPLY_S = 1.0  # a broker that takes longer to say hello is told as not answering


@dataclass(frozen=True, slots=True)
class BrokerFacts:
    """The broker that is configured, what it said, and how the device's clock stands; `broker` None where none is.

    Attributes:
        file: the configuration file.
        mosquitto: whether a broker is installed on this device.
        today: the date that this device believes in.
        strangers_may: what anyone who reaches the broker can do to this device; "" if the broker asks for a login, or can
            be reached from this device only.
        only_read: whether that changes nothing on the device.
    """

    broker: BrokerAddress | None
    greeting: Handshake
    file: str
    mosquitto: bool
    today: str
    strangers_may: str = ""
    only_read: bool = True

    @property
    def address(self) -> str:
        """Where the broker is, for people."""
        return f"{self.broker.host}:{self.broker.port}" if self.broker else ""

    @property
    def local(self) -> bool:
        """Whether the broker is on this device."""
        return self.broker is not None and self.broker.host in LOCAL_HOSTS


def read_broker(world: World) -> BrokerFacts | Unavailable:
    """Greet the broker that is configured; with no configuration, none is missed."""
    broker = _configured(world) if world.is_configured else None
    if broker and (closed := next((path for path in broker.files if world.read(path) is None), "")):
        return Unavailable(f"{closed}: cannot be read; run the doctor with sudo")
    return BrokerFacts(
        broker=broker,
        greeting=_greet(world, broker) if broker else Handshake("welcome"),
        file=world.config_file,
        mosquitto=world.which("mosquitto") is not None,
        today=datetime.fromtimestamp(world.clock.wall_s(), UTC).strftime("%Y-%m-%d"),
        strangers_may=_strangers_may(world, broker) if broker else "",
        only_read=request_access(world.configured.mqtt) in ("none", "read"),
    )


def judge_reachable(facts: BrokerFacts) -> Iterator[Problem]:
    """Yield a fault where nothing answers."""
    said = facts.greeting.said
    match facts.greeting.outcome:
        case "no-name":
            yield _fault(facts, f"the name {facts.broker.host if facts.broker else ''} cannot be resolved", "host")
        case "refused" if facts.local:
            mend = "sudo systemctl start mosquitto" if facts.mosquitto else "sudo apt-get install mosquitto"
            yield Problem("no broker listens on this device", facts.address, mend)
        case "refused":
            yield _fault(facts, "nothing listens there", "host and port")
        case "unreachable":
            yield _fault(facts, f"it does not answer ({said})", "host and port")
        case "other":
            yield _fault(facts, f"what listens there is no broker for us: {said}", "host and port")


def judge_login(facts: BrokerFacts) -> Iterator[Problem]:
    """Yield a fault where the broker knows us not."""
    if facts.greeting.outcome == "login" and facts.broker:
        who = f"user {facts.broker.username!r}" if facts.broker.username else "anyone without a user name"
        key = facts.broker.password_file or "username and password_file under [mqtt]"
        yield Problem(f"the broker refuses {who} ({facts.greeting.said})", facts.address, _correct(facts, key))


def judge_expired(facts: BrokerFacts) -> Iterator[Problem]:
    """Yield a fault where the broker's certificate has expired."""
    yield from _when(
        facts,
        ("expired",),
        f"the broker's certificate has expired (today is {facts.today})",
        "renew the certificate on the broker, then: sudo systemctl reload mosquitto",
    )


def judge_clock(facts: BrokerFacts) -> Iterator[Problem]:
    """Yield a fault where the device's clock stands before the certificate begins."""
    yield from _when(
        facts,
        ("not-yet",),
        f"the broker's certificate is not valid yet: this device's clock is behind (it says {facts.today})",
        "sudo timedatectl set-ntp true",
    )


def judge_name(facts: BrokerFacts) -> Iterator[Problem]:
    """Yield a fault where the certificate is for another name."""
    said = facts.greeting.said.rstrip(".")
    yield from _when(
        facts,
        ("wrong-name",),
        f"the broker's certificate is for another name ({said})",
        f"set mqtt.host in {facts.file} to the name that the certificate has",
    )


def judge_authority(facts: BrokerFacts) -> Iterator[Problem]:
    """Yield a fault where nobody we trust has signed the certificate, or the handshake fails otherwise."""
    yield from _when(
        facts,
        ("authority", "tls"),
        f"TLS fails: {facts.greeting.said}",
        f"set mqtt.ca_file in {facts.file} to the certificate of the authority that signed the broker's",
    )


def judge_own(facts: BrokerFacts) -> Iterator[Problem]:
    """Yield a fault where the broker wants a certificate of us, or another than ours."""
    mend = f"set mqtt.cert_file and mqtt.key_file in {facts.file} to a pair that the broker's authority has signed"
    yield from _when(
        facts, ("own",), f"the broker does not take this device's certificate ({facts.greeting.said})", mend
    )


def judge_open(facts: BrokerFacts) -> Iterator[Problem]:
    """Yield a warning where the broker lets in clients without a login, and the device may be changed through it."""
    if facts.strangers_may and facts.greeting.outcome == "welcome":
        what = f"the broker asks for no login: anyone who reaches it can {facts.strangers_may}"
        fix = f"give the broker a password file, and set username and password_file under [mqtt] in {facts.file}"
        yield Problem(what, facts.address, fix, "note" if facts.only_read else "warning")


def _when(facts: BrokerFacts, outcomes: Iterable[Outcome], what: str, mend: str) -> Iterator[Problem]:
    if facts.greeting.outcome in outcomes:
        yield Problem(what, facts.address, mend)


def _fault(facts: BrokerFacts, what: str, keys: str) -> Problem:
    return Problem(what, facts.address, f"start the broker, or correct {keys} under [mqtt] in {facts.file}")


def _correct(facts: BrokerFacts, key: str) -> str:
    return f"correct {key} in {facts.file}" if " " in key else f"write the right password into {key}"


def _configured(world: World) -> BrokerAddress | None:
    """Return the broker that is to be used, None where none is."""
    mqtt = world.configured.mqtt
    if not mqtt.enabled:
        return None
    own_id = f"{client_id(mqtt.prefix, device_id(world.configured))}-doctor"
    return BrokerAddress(mqtt.host, mqtt.port, mqtt.username, mqtt.password_file, own_id, tls_of(mqtt))


def _strangers_may(world: World, broker: BrokerAddress) -> str:
    if broker.host in LOCAL_HOSTS and not is_reachable(world, broker.port):
        return ""
    return strangers_may(world.configured.mqtt)


def _greet(world: World, broker: BrokerAddress) -> Handshake:
    placed = replace(broker, tls=broker.tls and _placed(world, broker.tls))
    return greet(placed, _password(world, broker.password_file), min(REPLY_S, world.left_s()))


def _placed(world: World, tls: Tls) -> Tls:
    """Return the files as they lie below the root."""
    return Tls(*(str(world.at(file)) if file else "" for file in astuple(tls)))


def _password(world: World, path: str) -> str:
    """Return the password, "" where it cannot be read, which another check tells."""
    try:
        return read_password(world.at(path)).text if path else ""
    except (OSError, ValueError):
        return ""


CHECKS = (
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
        "broker.open",
        "whether a broker that other machines reach asks for a login",
        "an open broker lets anyone on the network read what the device publishes, and request what mqtt.requests allows",
        judge_open,
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
    Check(
        "broker.own-certificate",
        "whether the broker takes the certificate that this device shows it, where it asks for one",
        "nothing reaches a broker that does not know this device",
        judge_own,
        (read_broker,),
    ),
)
