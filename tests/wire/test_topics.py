from __future__ import annotations

import pytest

from inferd.errors import ConfigError
from inferd.records import Message
from inferd.wire import topics


@pytest.mark.parametrize(
    ("host_name", "device"),
    [
        ("raspberrypi", "raspberrypi"),
        ("pi-4.fritz.box", "pi-4"),
        ("Büro Kamera", "Buro-Kamera"),
        ("plant/#1+2", "plant-1-2"),
        ("_x_", "x"),
        ("日本", "device"),
        ("", "device"),
        ("a" * 80, "a" * 64),
    ],
)
def test_a_host_name_becomes_a_safe_device_id(host_name: str, device: str) -> None:
    assert topics.safe_device_id(host_name) == device
    assert topics.check_device_id(device) == device


@pytest.mark.parametrize("name", ["", "a b", "a/b", "a+", "#", "-a", "a" * 65, "käse", "a\n"])
def test_a_name_that_cannot_stand_in_a_topic_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="cannot stand in an MQTT topic"):
        topics.check_pipeline_name(name)


@pytest.mark.parametrize("name", sorted(topics.RESERVED))
def test_a_pipeline_cannot_take_a_topic_of_the_device(name: str) -> None:
    with pytest.raises(ConfigError, match="is a topic of the device itself"):
        topics.check_pipeline_name(name)


def test_every_first_level_of_the_device_is_reserved() -> None:
    levels = {topic.path.split("/")[0] for topic in topics.TOPICS} - {"<pipeline>"}
    assert levels <= topics.RESERVED


def test_a_prefix_may_have_several_levels() -> None:
    assert topics.check_prefix("home/inferd") == "home/inferd"


@pytest.mark.parametrize("prefix", ["", "/", "a/", "/a", "a//b", "a/#", "$SYS"])
def test_a_prefix_that_cannot_stand_in_a_topic_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match="cannot stand in an MQTT topic"):
        topics.check_prefix(prefix)


def test_a_full_topic_is_prefix_device_and_topic() -> None:
    assert topics.full_topic("inferd", "pi", "cam/result") == "inferd/pi/cam/result"


def test_a_message_to_a_pipeline_carries_its_name_and_how_it_travels() -> None:
    assert topics.STATE.message(b"{}", "cam") == Message("cam/state", b"{}", qos=1, retain=True)


def test_a_message_to_a_pipeline_needs_its_name() -> None:
    with pytest.raises(AssertionError):
        topics.STATE.message(b"{}")


def test_results_are_live_and_what_describes_a_state_is_retained() -> None:
    retained = {topic.path for topic in topics.TOPICS if topic.retain}
    assert retained == {"status", "info", "<pipeline>/status", "<pipeline>/state", "<pipeline>/model"}
    assert (topics.RESULT.qos, topics.EVENT.qos) == (0, 1)


def test_two_devices_or_prefixes_never_share_a_client_id() -> None:
    assert topics.client_id("home/inferd", "pi") == "home-inferd-pi"
