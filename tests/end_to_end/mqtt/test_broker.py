"""The real program and a real mosquitto: what a person who watches the broker sees."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.agents.agent import program, wait_for
from fixtures.models.finder import write_finder, write_pictures
from fixtures.network.broker import PATIENCE_S, Listener, Mosquitto, eventually, retained

CONFIG = """
device = "test"
[mqtt]
port = %d
[metrics]
interval_s = 0.5
[[pipeline]]
name = "cam"
model = "%s"
source = {kind = "%s", %s}
pace = {at_end = "loop", mode = "%s"}
report = {max_per_s = 0}
engine = {kind = "%s"}
"""


def fake(port: int) -> str:
    return CONFIG % (port, "fake", "synthetic", "width = 64, height = 48", "fixed", "fake")


@pytest.fixture
def listener(mosquitto: Mosquitto) -> Iterator[Listener]:
    heard = Listener(mosquitto.port)
    yield heard
    heard.close()


def test_what_is_retained_of_a_pipeline_that_was_renamed_while_the_agent_was_off_is_cleared(
    tmp_path: Path, mosquitto: Mosquitto, listener: Listener
) -> None:
    with program(tmp_path, fake(mosquitto.port)) as running:
        running.result()
        eventually(lambda: bool(listener.payloads("inferd/test/cam/model")), "its model")
    assert retained(mosquitto.port, "inferd/test/cam/status") is not None
    renamed = fake(mosquitto.port).replace('name = "cam"', 'name = "door"')
    with program(tmp_path, renamed) as running:
        running.result()
        eventually(lambda: not listener.payloads("inferd/test/cam/model")[-1], "it to be cleared")
        assert retained(mosquitto.port, "inferd/test/cam/status") is None
        assert retained(mosquitto.port, "inferd/test/door/status") is not None


def test_the_broker_never_sees_offline_when_the_worker_is_killed(
    tmp_path: Path, mosquitto: Mosquitto, listener: Listener
) -> None:
    with program(tmp_path, fake(mosquitto.port)) as running:
        for kill in range(3):
            heard_before = len(listener.payloads("inferd/test/cam/result"))

            def hears_more(before: int = heard_before) -> bool:
                return len(listener.payloads("inferd/test/cam/result")) > before

            eventually(hears_more, f"results before kill {kill}")
            os.kill(running.children()["inferd-worker"], signal.SIGKILL)
        eventually(lambda: running.log().count("ERROR the worker ended") == 3, "three deaths told")
        assert listener.payloads("inferd/test/status") == [b"online"]
    assert listener.payloads("inferd/test/status") == [b"online", b"offline"]


def test_the_broker_says_offline_when_control_is_killed(
    tmp_path: Path, mosquitto: Mosquitto, listener: Listener
) -> None:
    with program(tmp_path, fake(mosquitto.port)) as running:
        eventually(lambda: b"online" in listener.payloads("inferd/test/status"), "online")
        running.process.kill()
        eventually(lambda: b"offline" in listener.payloads("inferd/test/status"), "the last will")


def test_all_topics_of_a_device_are_there_and_small(tmp_path: Path, mosquitto: Mosquitto, listener: Listener) -> None:
    wanted = {"status", "info", "metrics", "event", "cam/status", "cam/state", "cam/result", "cam/model"}
    with program(tmp_path, fake(mosquitto.port)):
        eventually(lambda: {f"inferd/test/{topic}" for topic in wanted} <= set(listener.topics()), "all topics")
    assert max(len(message.payload) for message in listener.heard) < 20_000
    assert retained(mosquitto.port, "inferd/test/cam/result") is None
    assert retained(mosquitto.port, "inferd/test/info") is not None


def test_inference_goes_on_without_a_broker_and_telemetry_comes_with_it(tmp_path: Path, mosquitto: Mosquitto) -> None:
    mosquitto.kill()
    with program(tmp_path, fake(mosquitto.port)) as running:
        for _ in range(20):
            running.result()
        mosquitto.start()
        listener = Listener(mosquitto.port)
        eventually(lambda: b"online" in listener.payloads("inferd/test/status"), "online")
        listener.close()


def test_mosquitto_sub_reads_it(tmp_path: Path, mosquitto: Mosquitto) -> None:
    with program(tmp_path, fake(mosquitto.port)) as running:
        running.result()
        command = ["mosquitto_sub", "-p", str(mosquitto.port), "-t", "inferd/test/cam/result", "-C", "1", "-W", "10"]
        told = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (told["schema_version"], told["device"], told["pipeline"], told["task"]) == (1, "test", "cam", "classify")


@pytest.mark.slow
def test_a_detector_publishes_the_boxes_of_its_pictures(
    tmp_path: Path, mosquitto: Mosquitto, listener: Listener
) -> None:
    pictures = write_pictures(tmp_path / "pictures", {"one": {(1, 1): "3"}, "two": {(0, 1): "5", (2, 3): "1"}})
    config = CONFIG % (mosquitto.port, write_finder(tmp_path), "images", f'path = "{pictures}"', "fast", "litert")
    with program(tmp_path, config):
        topic = "inferd/test/cam/result"
        assert wait_for(lambda: len(listener.payloads(topic)) >= 40, PATIENCE_S)
    results = [json.loads(payload) for payload in listener.payloads(topic)]
    found = {tuple(sorted(tuple(box["box"]) for box in result["boxes"])) for result in results}
    assert found == {((0.25, 0.25, 0.5, 0.5),), ((0.0, 0.25, 0.25, 0.5), (0.5, 0.75, 0.75, 1.0))}


@pytest.mark.slow
def test_the_ssd_publishes_the_boxes_of_a_street(
    assets: Path, tmp_path: Path, mosquitto: Mosquitto, listener: Listener
) -> None:
    model = assets / "models/detect/coco_ssd_mobilenet_v1_quant.tflite"
    clip = f'path = "{assets / "video/vtest_8s_512x384.mp4"}"'
    with program(tmp_path, CONFIG % (mosquitto.port, model, "video", clip, "recorded", "litert")):
        topic = "inferd/test/cam/result"
        assert wait_for(lambda: len(listener.payloads(topic)) >= 40, PATIENCE_S)
    results = [json.loads(payload) for payload in listener.payloads(topic)]
    people = [sum(box["label"] == "person" for box in result["boxes"]) for result in results]
    assert sorted(people)[len(people) // 2] >= 3  # a dozen people walk there; the SSD finds some of them in every frame
    assert all(0 <= edge <= 1 for result in results for box in result["boxes"] for edge in box["box"])
    frames = [result["frame"] for result in results[:40]]
    assert frames == sorted(frames)
