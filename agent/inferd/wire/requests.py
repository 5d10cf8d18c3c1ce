"""The requests a device answers: the table of verbs with their levels and arguments, and the form of an answer.

The table is the allow-list of both command channels (MQTT and the local socket): a verb that is not in it has no effect.
None of them takes a path, a command or a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

from inferd.records import Result
from inferd.wire.decoding import decode
from inferd.wire.telemetry import Header, join

LIMIT_BYTES = 16_000
LONGEST_ID = 64
SHORTEST_INTERVAL_S = 1.0
LONGEST_INTERVAL_S = 86_400.0

Id = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_ID)]
Name = Annotated[str, msgspec.Meta(max_length=100)]


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent to `request/<verb>`.

    Attributes:
        id: chosen by whoever asks; the answer repeats it, and a second request with it is not answered.
        data: what the verb takes.
    """

    id: Id
    data: msgspec.Raw = msgspec.Raw(b"{}")


STALE = "it quotes a message that is too old"


class SealedRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request to a device whose messages are sealed.

    Attributes:
        device: whose.
        boot_id, seq: of a message of the device, the newest that whoever asks has heard.
        sealed: nonce and ciphertext of a `Request` in Base64, bound to the verb and to all of this.
    """

    device: str
    boot_id: str
    seq: int
    sealed: str


class Arguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a verb takes: nothing, unless it says otherwise."""


class Interval(Arguments, frozen=True):
    """How often `metrics` is sent from now on, until the agent is started anew or its configuration reloaded."""

    interval_s: Annotated[float, msgspec.Meta(ge=SHORTEST_INTERVAL_S, le=LONGEST_INTERVAL_S)]


class PipelineArguments(Arguments, frozen=True):
    """Which pipeline it is about."""

    pipeline: Name


class ModelArguments(Arguments, frozen=True):
    """Which pipeline it is about, and which model: a name, "name version", or the start of a digest."""

    pipeline: Name
    model: Name


class Pin(Arguments, frozen=True):
    """Which pipeline it is about, and which model it keeps to; "" is the one that serves."""

    pipeline: Name
    model: Name = ""


class StoredModel(Arguments, frozen=True):
    """Which model: a name, "name version", or the start of a digest."""

    model: Name


class SnapshotArguments(Arguments, frozen=True):
    """Which pipeline it is about; "" is the only one there is. `drawn` draws what was found on the frame."""

    pipeline: Name = ""
    drawn: bool = False


class Snapshot(msgspec.Struct, frozen=True):
    """What `snapshot` answers.

    Attributes:
        pipeline: whose frame it is.
        frame: its number in its source.
        model: the model that was shown it.
        jpeg: the picture in Base64, at most 34,000 bytes before that.
    """

    pipeline: str
    frame: int
    model: str
    jpeg: bytes


class LabelArguments(Arguments, frozen=True):
    """What a person says a frame shows, for the label log.

    Attributes:
        pipeline: whose frame it was.
        label: what it shows; "" for nothing.
        boot_id, seq: of the result message that is meant, as it carries them.
        sample: the name of a kept sample, where that is meant instead.
        track: number of the object that is meant; 0 for the whole frame.
    """

    pipeline: Name
    label: Name
    boot_id: Annotated[str, msgspec.Meta(max_length=LONGEST_ID)] = ""
    seq: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    sample: Name = ""
    track: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0


class ResultsArguments(Arguments, frozen=True):
    """Which pipeline's results; "" is all of them."""

    pipeline: Name = ""


class FramesArguments(Arguments, frozen=True):
    """Which pipeline's frames; "" is the only one there is. `drawn` draws what was found on them."""

    pipeline: Name = ""
    drawn: bool = False


Level = Literal["read", "operate", "admin"]
Access = Literal["none", "read", "operate", "all"]
_ALLOWED: Mapping[Access, tuple[Level, ...]] = {
    "none": (),
    "read": ("read",),
    "operate": ("read", "operate"),
    "all": ("read", "operate", "admin"),
}


def allows(access: Access, level: Level) -> bool:
    """Whether verbs of this level may be used with this access."""
    return level in _ALLOWED[access]


@dataclass(frozen=True, slots=True)
class Verb:
    """A line of the table.

    Attributes:
        takes: its arguments.
        level: "read" changes nothing, "operate" is for daily work, "admin" changes what the device is.
        about: one sentence.
        streams: whether it goes on answering; only on the local socket.
    """

    takes: type[Arguments]
    level: Level
    about: str
    streams: bool = False


TABLE: Mapping[str, Verb] = {
    "ping": Verb(Arguments, "read", "answers that it lives, with its `version`"),
    "status": Verb(Arguments, "read", "answers what `inferd status --json` prints: pipelines, models, alerts, metrics"),
    "metrics": Verb(Arguments, "read", "sends `metrics` now, and answers the same figures"),
    "models/list": Verb(Arguments, "read", "answers which models each pipeline has and could have"),
    "models/log": Verb(Arguments, "read", "answers the last steps of model lifecycles, oldest first"),
    "results": Verb(ResultsArguments, "read", "sends each result as it is published", streams=True),
    "interval": Verb(Interval, "operate", "sends `metrics` as often as this from now on"),
    "snapshot": Verb(
        SnapshotArguments, "operate", "answers the next frame; over MQTT a JPEG where `mqtt.snapshots` allows it"
    ),
    "frames": Verb(FramesArguments, "operate", "sends frames as JPEG, up to five a second", streams=True),
    "label": Verb(LabelArguments, "operate", "appends what a person says a frame shows to the label log"),
    "pipeline/sleep": Verb(
        PipelineArguments, "operate", "closes a pipeline's source and frees its engine until it is woken"
    ),
    "pipeline/wake": Verb(PipelineArguments, "operate", "has a sleeping pipeline run again"),
    "models/activate": Verb(ModelArguments, "operate", "has a pipeline try another of its accepted models"),
    "models/rollback": Verb(PipelineArguments, "operate", "has a pipeline use the model that it had before"),
    "models/pin": Verb(Pin, "operate", "has a pipeline keep to a model, whatever is dropped"),
    "models/unpin": Verb(PipelineArguments, "operate", "has a pipeline follow newer models again"),
    "models/release": Verb(StoredModel, "operate", "lets a model be tried again that was refused or quarantined"),
    "models/forget": Verb(StoredModel, "admin", "removes a model from the store"),
    "reload": Verb(Arguments, "admin", "reads the configuration again, as `systemctl reload inferd`"),
}
"""Every verb that a running agent answers: on the local socket all of them, on the page, the command line and MQTT as below."""

VERBS: Mapping[str, Verb] = {name: verb for name, verb in TABLE.items() if not verb.streams}
"""The verbs that may be requested over MQTT, as far as `mqtt.requests` allows their level."""

_decoders = {name: msgspec.json.Decoder(verb.takes) for name, verb in TABLE.items()}


def decode_arguments(verb: str, data: msgspec.Raw | bytes) -> Arguments:
    """Return the arguments of a verb of the table.

    Raises:
        ValueError: they are not what the verb takes; the sentence says what is wrong.
    """
    try:
        return decode(_decoders[verb], bytes(data))
    except msgspec.MsgspecError as exc:
        raise ValueError(f"data: {exc}") from exc


class Response(msgspec.Struct, frozen=True):
    """Body of `response/<verb>`.

    Attributes:
        id: of the request; "" where it had none that could be read.
        status: "ok" or "error".
        data: what the verb answers; null where it failed.
        error: why it failed; null where it did not.
    """

    id: str
    status: Literal["ok", "error"]
    data: msgspec.Raw | None = None
    error: str | None = None


class LocalRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is sent to the local socket, one packet of JSON.

    Attributes:
        verb: of the table.
        data: what the verb takes.
    """

    verb: Annotated[str, msgspec.Meta(max_length=LONGEST_ID)]
    data: msgspec.Raw = msgspec.Raw(b"{}")


class LocalResponse(msgspec.Struct, frozen=True):
    """What the local socket answers, one packet of JSON.

    Attributes:
        status: "ok" or "error".
        data: what the verb answers; null where it failed, or is in the descriptor that comes with the packet.
        error: why it failed; null where it did not.
        in_file: whether the descriptor holds the JSON that `data` should, which is too large for a packet.
    """

    status: Literal["ok", "error"]
    data: msgspec.Raw = msgspec.Raw(b"null")
    error: str | None = None
    in_file: bool = False


class LocalFrame(msgspec.Struct, frozen=True):
    """What `snapshot` and `frames` answer on the local socket; the descriptor of the picture comes with it.

    Attributes:
        pipeline: whose frame it is.
        frame: its number in its source.
        model: the model that was shown it.
        result: what the model found, unrounded.
    """

    pipeline: str
    frame: int
    model: str
    result: Result


class DroppedPackets(msgspec.Struct, frozen=True):
    """Sent to a subscriber that was too slow, before its next packet: how many packets it missed."""

    dropped: int


_encoder = msgspec.json.Encoder()


def encode_response(header: Header, response: Response) -> bytes:
    """Return the message as JSON."""
    return join(_encoder.encode(header), _encoder.encode(response))
