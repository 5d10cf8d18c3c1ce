"""Where every message goes: the table of topics, and the names that may stand in them. docs/mqtt.md explains each.

A full topic is `<prefix>/<device>/<topic>`; rooms only ever name the last part, the link puts the rest before it.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace

from inferd.errors import ConfigError
from inferd.records import Lane, Message

ONLINE = b"online"
OFFLINE = b"offline"
REQUEST = "request/"
RESPONSE = "response/"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_NAME_RULE = "use letters, digits, - and _, at most 64, the first a letter or digit"


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic of a device, and how its messages travel.

    Attributes:
        path: below the device; "<pipeline>" stands for a pipeline's name.
        qos: 0 live figures that the next one replaces, 1 what must arrive.
        retain: whether the broker keeps the newest for those who subscribe later.
        about: one sentence.
        lane: where it waits on the disk until the broker has it; None where it may be lost.
    """

    path: str
    qos: int
    retain: bool
    about: str
    lane: Lane | None = None

    def message(self, payload: bytes, pipeline: str = "") -> Message:
        """Return the message for a link; `pipeline` is needed where the path has one."""
        topic = self.path.replace("<pipeline>", pipeline)
        if not topic or topic.startswith("/"):
            raise AssertionError(f"a message to {self.path} needs the name of its pipeline")
        return Message(topic, payload, self.qos, self.retain, self.lane)


STATUS = Topic(
    "status", 1, True, "`online` or `offline`, as plain text; the broker says `offline` when the device is lost"
)
INFO = Topic("info", 1, True, "what this device is and runs, sent at start and whenever it changes")
METRICS = Topic("metrics", 1, False, "figures of the last interval, every `metrics.interval_s`", "metrics")
ROLLUP = Topic(
    "rollup", 1, False, "in place of `metrics`, every hour, where `metrics.metered` says so; short", "metrics"
)
EVENT = Topic("event", 1, False, "something happened: a worker died, a model was refused, a source failed", "event")
PIPELINE_STATUS = Topic("<pipeline>/status", 1, True, "whether a pipeline runs, and if not, why")
STATE = Topic("<pipeline>/state", 1, True, "the settled answer, for dashboards")
RESULT = Topic("<pipeline>/result", 0, False, "one inference, as the report rules let it out")
MODEL = Topic("<pipeline>/model", 1, True, "the model that serves a pipeline, and what runs it")
REPLAY = Topic(
    "replay", 1, False, "what the broker missed, later: messages in batches, each under the name of its topic"
)

IMAGE = Topic("<pipeline>/image", 0, False, "a JPEG, where `pipeline.image` publishes one; its bytes, no JSON")
"""Not in `TOPICS`: it has no JSON message, and is there only where a person allows pictures to leave the device."""

ALERT = replace(EVENT, lane="alert")  # as any event, but the last that is given up
KEPT_RESULT = replace(RESULT, qos=1, lane="result")

TOPICS = (STATUS, INFO, METRICS, ROLLUP, EVENT, PIPELINE_STATUS, STATE, RESULT, MODEL, REPLAY)

RESERVED = frozenset({"status", "info", "metrics", "rollup", "event", "request", "response", "replay"})
"""First levels below the device that no pipeline may be called."""


def full_topic(prefix: str, device: str, topic: str) -> str:
    """Return the topic as the broker sees it."""
    return f"{prefix}/{device}/{topic}"


def client_id(prefix: str, device: str) -> str:
    """Return the MQTT client id of a device.

    It is the same on every connect: so a broker that still believes in a lost connection ends that one first, and its
    late "offline" cannot come after the new "online".
    """
    return f"{prefix.replace('/', '-')}-{device}"


def safe_device_id(host_name: str) -> str:
    """Return a host name's first label as a device id: letters, digits, - and _; "device" where nothing is left."""
    label = unicodedata.normalize("NFKD", host_name.split(".", maxsplit=1)[0])
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", label.encode("ascii", "ignore").decode())
    return plain.lstrip("-_")[:64].rstrip("-_") or "device"


def is_device_id(text: str) -> bool:
    """Whether a text may be a device id, as typed by a person: no wildcard, no further level."""
    return bool(_NAME.fullmatch(text))


def check_device_id(device: str) -> str:
    """Return a device id that a person chose.

    Raises:
        ConfigError: it cannot stand in a topic.
    """
    return _checked("device", device)


def check_pipeline_name(name: str) -> str:
    """Return a pipeline's name.

    Raises:
        ConfigError: it cannot stand in a topic, or is a topic of the device itself.
    """
    if name in RESERVED:
        raise ConfigError("pipeline.name", f"{name!r} is a topic of the device itself; choose another name")
    return _checked("pipeline.name", name)


def check_prefix(prefix: str) -> str:
    """Return the first level (or levels) of all topics.

    Raises:
        ConfigError: it cannot stand in a topic.
    """
    for level in prefix.split("/"):
        _checked("mqtt.prefix", level)
    return prefix


def _checked(key: str, name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ConfigError(key, f"{name!r} cannot stand in an MQTT topic; {_NAME_RULE}")
    return name
