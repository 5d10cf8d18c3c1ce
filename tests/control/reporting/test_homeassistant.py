from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from inferd.config import settings
from inferd.control.reporting.homeassistant import JITTER_S, HomeAssistantDiscovery
from inferd.records import Incoming, Message
from inferd.system.clock import CountingClock
from inferd.wire import telemetry

CAM = settings.Pipeline(name="cam", source=settings.SyntheticSource())
SAID = settings.HomeAssistant(enabled=True)
TOPIC = "homeassistant/device/test/config"


class Told:
    """A device, and what Home Assistant's broker keeps of it."""

    def __init__(self, folder: Path) -> None:
        self.clock = CountingClock()
        self.memory = folder / "homeassistant.json"
        self.sent: list[Message] = []
        self.start()

    def start(self) -> None:
        self.discovery = HomeAssistantDiscovery(
            settings.Mqtt(), "test", self.memory, self.clock, self.sent.append, jitter=lambda: 0.5
        )

    def follow(self, *pipelines: settings.Pipeline, said: settings.HomeAssistant = SAID) -> None:
        self.discovery.follow(settings.Config(pipeline=pipelines, homeassistant=said), "")
        self.pass_time(2.0)

    def model(self, task: str, pipeline: str = "cam") -> None:
        body = telemetry.Model("m", task=task, state="active")
        self.discovery.publish(Message(f"{pipeline}/model", msgspec.json.encode(body)))
        self.pass_time(2.0)

    def committed(self) -> None:
        body = telemetry.Event("model.committed", "info", "", "cam")
        self.discovery.publish(Message("event", msgspec.json.encode(body)))
        self.pass_time(2.0)

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.discovery.turn()

    def entities(self) -> set[str]:
        """Return the entities of the newest message that see something."""
        payload = next(message.payload for message in reversed(self.sent) if message.topic == TOPIC)
        keys = msgspec.json.decode(payload)["components"] if payload else {}
        return {key.removeprefix("pipeline_") for key in keys if key.startswith("pipeline_")}


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(tmp_path)


def test_nothing_is_told_unless_it_is_wanted(told: Told) -> None:
    told.follow(CAM, said=settings.HomeAssistant())
    told.model("detect")
    assert told.sent == []


def test_what_a_model_sees_becomes_entities_when_it_serves(told: Told) -> None:
    told.follow(CAM)
    assert told.entities() == {"cam_status", "cam_model"}
    told.model("detect")
    assert told.entities() == {"cam_status", "cam_model", "cam_occupancy", "cam_count", "cam_label", "cam_score"}
    assert all(message.retain and message.absolute and message.qos == 1 for message in told.sent)


def test_what_the_model_before_saw_goes_only_after_the_new_one_is_committed(told: Told) -> None:
    told.follow(CAM)
    told.model("detect")
    told.model("anomaly")
    assert {"cam_occupancy", "cam_anomaly"} <= told.entities()
    told.committed()
    assert told.entities() == {"cam_status", "cam_model", "cam_anomaly", "cam_score"}


def test_a_new_model_of_the_same_task_says_nothing_new(told: Told) -> None:
    told.follow(CAM)
    told.model("detect")
    before = len(told.sent)
    told.model("detect")
    told.committed()
    assert len(told.sent) == before


def test_everything_is_told_again_with_jitter_when_home_assistant_starts(told: Told) -> None:
    told.follow(CAM)
    before = len(told.sent)
    told.discovery.heard(Incoming("homeassistant/status", b"online"))
    told.pass_time(JITTER_S * 0.4)
    assert len(told.sent) == before
    told.pass_time(JITTER_S * 0.2)
    assert len(told.sent) == before + 1


@pytest.mark.parametrize(
    "incoming",
    [Incoming("homeassistant/status", b"offline"), Incoming("homeassistant/status", b"online", retained=True)],
)
def test_other_words_of_home_assistant_change_nothing(told: Told, incoming: Incoming) -> None:
    told.follow(CAM)
    before = len(told.sent)
    told.discovery.heard(incoming)
    told.pass_time(JITTER_S)
    assert len(told.sent) == before


def test_what_went_while_the_agent_was_off_leaves_no_ghost(told: Told) -> None:
    told.follow(CAM, said=settings.HomeAssistant(enabled=True, form="entity"))
    kept = {message.topic for message in told.sent}
    told.start()
    told.follow(CAM)
    assert {message.topic for message in told.sent if not message.payload} == kept


def test_switching_it_off_removes_the_device(told: Told) -> None:
    told.follow(CAM)
    told.start()
    told.follow(CAM, said=settings.HomeAssistant())
    assert [(message.topic, message.payload) for message in told.sent[-1:]] == [(TOPIC, b"")]
    assert not told.memory.exists()


def test_a_damaged_memory_is_as_good_as_none(told: Told) -> None:
    told.memory.write_bytes(b"{")
    told.start()
    told.follow(CAM)
    assert told.entities() == {"cam_status", "cam_model"}
