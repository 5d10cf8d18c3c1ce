"""By default only results and figures leave the device: no payload holds any part of a frame, however written."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fixtures.agents.agent import program
from fixtures.network.broker import Listener, Mosquitto, eventually
from inferd.wire.requests import VERBS

PIECE_BYTES = 12  # of noise: by chance such a piece stands nowhere
CONFIG = """
device = "test"
[mqtt]
port = %d
requests = "all"
[metrics]
interval_s = 1
[[pipeline]]
name = "cam"
model = "fake"
source = {kind = "images", path = "%s", fps = 10}
pace = {at_end = "loop"}
report = {max_per_s = 0}
engine = {kind = "fake"}
"""


def noise(folder: Path) -> tuple[Path, bytes]:
    """Return a picture of noise, and its bytes as the pipeline sees them: BGR."""
    frame = np.random.default_rng(1).integers(0, 256, (48, 64, 3), np.uint8)
    file = folder / "noise.png"
    cv2.imwrite(str(file), frame)
    return file, frame.tobytes()


def written(frame: bytes) -> set[bytes]:
    """Return pieces of a frame in all ways in which a message could carry them."""
    pieces: set[bytes] = set()
    for start in range(0, len(frame) - PIECE_BYTES, PIECE_BYTES):
        for shift in range(3):  # Base64 of the same bytes looks different at each of three places
            piece = frame[start + shift : start + shift + PIECE_BYTES]
            pieces |= {piece, base64.b64encode(piece)[:-1], piece.hex().encode()}
            pieces |= {json.dumps(list(piece[:6]))[1:-1].encode(), ",".join(map(str, piece[:6])).encode()}
    return pieces


PICTURES = (
    b"\xff\xd8\xff",
    b"\x89PNG",
    b"RIFF",
    base64.b64encode(b"\xff\xd8\xff"),
    base64.b64encode(b"\x89PNG\r\n")[:-1],
)
"""How files of pictures begin, as they are and in Base64: an encoded frame has none of its own bytes."""


def holds_any(payload: bytes, pieces: set[bytes]) -> bool:
    return any(piece in payload for piece in pieces)


@pytest.mark.parametrize(
    "carried",
    [
        lambda frame: frame[300:400],
        lambda frame: json.dumps({"jpeg": base64.b64encode(frame[31:400]).decode()}).encode(),
        lambda frame: json.dumps({"values": list(frame[600:700])}).encode(),
        lambda frame: frame[601:900].hex().encode(),
    ],
)
def test_a_message_with_a_piece_of_a_frame_would_be_noticed(tmp_path: Path, carried: object) -> None:
    _, frame = noise(tmp_path)
    assert callable(carried)
    assert holds_any(carried(frame), written(frame))


@pytest.mark.slow
def test_a_snapshot_that_was_allowed_is_noticed_and_is_the_frame(tmp_path: Path, mosquitto: Mosquitto) -> None:
    file, _ = noise(tmp_path)
    listener = Listener(mosquitto.port)
    allowed = CONFIG.replace("[metrics]", "snapshots = true\n[metrics]")
    with program(tmp_path, allowed % (mosquitto.port, file)):
        eventually(lambda: len(listener.payloads("inferd/test/cam/result")) > 0, "results")
        listener.say("inferd/test/request/snapshot", b'{"id": "1"}')
        eventually(lambda: "inferd/test/response/snapshot" in listener.topics(), "the picture")
    (answer,) = listener.payloads("inferd/test/response/snapshot")
    assert holds_any(answer, set(PICTURES))
    jpeg = np.frombuffer(base64.b64decode(json.loads(answer)["data"]["jpeg"]), np.uint8)
    told, meant = cv2.imdecode(jpeg, cv2.IMREAD_COLOR), cv2.imread(str(file))
    assert told is not None
    assert meant is not None
    assert np.corrcoef(told.ravel(), meant.ravel())[0, 1] > 0.5
    others = [bytes(message.payload) for message in listener.heard if "response/snapshot" not in message.topic]
    assert not any(holds_any(payload, set(PICTURES)) for payload in others)
    listener.close()


@pytest.mark.slow
def test_no_piece_of_a_frame_leaves_the_device(tmp_path: Path, mosquitto: Mosquitto) -> None:
    file, frame = noise(tmp_path)
    listener = Listener(mosquitto.port)
    with program(tmp_path, CONFIG % (mosquitto.port, file)):
        eventually(lambda: len(listener.payloads("inferd/test/cam/result")) > 20, "results")
        for verb in VERBS:
            request = json.dumps({"id": verb, "data": {}}).encode()
            listener.say(f"inferd/test/request/{verb}", request)
        eventually(lambda: f"inferd/test/response/{list(VERBS)[-1]}" in listener.topics(), "answers")
        eventually(lambda: len(listener.payloads("inferd/test/metrics")) > 1, "figures")
    payloads = [bytes(message.payload) for message in listener.heard]
    pieces = {*written(frame), *PICTURES}
    assert not any(holds_any(payload, pieces) for payload in payloads)
    assert {topic.split("/", 2)[2].split("/")[0] for topic in listener.topics()} <= {
        *("status", "info", "metrics", "event", "cam", "request", "response"),
    }
    listener.close()
