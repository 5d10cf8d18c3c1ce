"""What may be asked of a device over the broker: the table of verbs, what each takes, and what an answer looks like.

This table is the allow-list: what is not in it has no effect. None of them takes a path, a command or a URL.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

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


class SnapshotArguments(Arguments, frozen=True):
    """Which pipeline it is about; "" is the only one there is."""

    pipeline: Name = ""


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


@dataclass(frozen=True, slots=True)
class Verb:
    """A line of the table: what it takes, and one sentence."""

    takes: type[Arguments]
    about: str


VERBS: Mapping[str, Verb] = {
    "ping": Verb(Arguments, "answers that it lives, with its `version`"),
    "status": Verb(Arguments, "answers what `inferd status --json` prints: state, pipelines, models, alerts, figures"),
    "metrics": Verb(Arguments, "sends `metrics` now, and answers the same figures"),
    "interval": Verb(Interval, "sends `metrics` as often as this from now on"),
    "reload": Verb(Arguments, "reads the configuration again, as `systemctl reload inferd`"),
    "models/list": Verb(Arguments, "answers which models each pipeline has and could have"),
    "models/activate": Verb(ModelArguments, "has a pipeline try another of its accepted models"),
    "models/rollback": Verb(PipelineArguments, "has a pipeline use the model that it had before"),
    "models/pin": Verb(Pin, "has a pipeline keep to a model, whatever is dropped"),
    "models/unpin": Verb(PipelineArguments, "has a pipeline follow newer models again"),
    "snapshot": Verb(
        SnapshotArguments, "answers the next frame of a pipeline as a JPEG, where `mqtt.snapshots` allows it"
    ),
}


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


_encoder = msgspec.json.Encoder()


def encode_response(header: Header, response: Response) -> bytes:
    """Return the message as JSON."""
    return join(_encoder.encode(header), _encoder.encode(response))
