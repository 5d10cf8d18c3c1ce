"""Pictures that are published when a pipeline's answer changes: how many, how large, and what becomes of a fault."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from inferd.config import settings
from inferd.control.reporting.images import ImagePublisher
from inferd.control.reporting.publisher import Publisher
from inferd.errors import WorkerError
from inferd.system.clock import CountingClock
from inferd.system.files.memory_file import memory_file
from inferd.telemetry.memory_link import MemoryLink

JPEG = b"\xff\xd8\xff picture"


@dataclass
class Request:
    """A request that the worker answers with this picture, or not at all."""

    picture: bytes | None = JPEG
    closed: bool = False

    def poll(self) -> tuple[object, int] | None:
        return None if self.picture is None else (object(), memory_file("test", self.picture))

    def close(self) -> None:
        self.closed = True


@dataclass
class Agent:
    """An image publisher on shipped fakes, and the requests that it made."""

    picture: bytes | None = JPEG
    why: str = ""
    requests: list[tuple[str, bool, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = CountingClock()
        self.link, self.local = MemoryLink(settings.Mqtt(), "test"), MemoryLink(settings.Mqtt(), "test")
        publisher = Publisher("test", [self.link], self.clock, [self.local])
        self.images = ImagePublisher(publisher, self._request, self.clock)
        self.last = Request()

    def _request(self, pipeline: str, drawn: bool, jpeg_bytes: int) -> Request:  # noqa: FBT001 - the callback's shape
        self.requests.append((pipeline, drawn, jpeg_bytes))
        if self.why:
            raise WorkerError("snapshot", self.why)
        self.last = Request(self.picture)
        return self.last

    def configure(self, **image: object) -> None:
        options = settings.ImageConfig(**image)  # type: ignore[arg-type]  # tests name right keys
        self.images.configure([settings.Pipeline(name="cam", source=settings.SyntheticSource(), image=options)])

    def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 4)):
            self.images.turn()
            self.clock.advance(0.25)


def test_a_picture_is_published_when_the_answer_changes_to_the_broker_only() -> None:
    agent = Agent()
    agent.configure(publish="change", max_kb=50)
    agent.pass_time(1)
    agent.images.settled("cam")
    agent.pass_time(1)
    assert agent.requests == [("cam", True, 50_000)]
    assert agent.link.payloads("cam/image") == [JPEG]
    assert agent.local.payloads("cam/image") == []
    assert agent.last.closed


def test_by_default_no_picture_leaves_the_device() -> None:
    agent = Agent()
    agent.configure()
    agent.images.settled("cam")
    agent.pass_time(1)
    assert agent.requests == []


def test_changes_in_quick_succession_give_one_picture_at_once_and_one_after_the_interval() -> None:
    agent = Agent()
    agent.configure(publish="change", interval_s=5.0)
    for _ in range(8):
        agent.images.settled("cam")
        agent.pass_time(0.25)
    agent.pass_time(2)
    assert len(agent.link.payloads("cam/image")) == 1
    agent.pass_time(3)
    assert len(agent.link.payloads("cam/image")) == 2


def test_at_most_one_request_is_under_way() -> None:
    agent = Agent(picture=None)
    agent.configure(publish="change", interval_s=1.0)
    for _ in range(5):
        agent.images.settled("cam")
        agent.pass_time(2)
    assert len(agent.requests) == 1


@pytest.mark.parametrize("agent", [Agent(why="no worker runs"), Agent(picture=b"x" * 60_001), Agent(picture=b"")])
def test_a_picture_that_cannot_be_had_is_left_out_and_the_next_one_is_tried(agent: Agent) -> None:
    agent.configure(publish="change", max_kb=60)
    for _ in range(2):
        agent.images.settled("cam")
        agent.pass_time(6)
    assert len(agent.requests) == 2
    assert agent.link.payloads("cam/image") == []


def test_a_retained_picture_is_cleared_when_it_is_no_longer_allowed() -> None:
    agent = Agent()
    agent.configure(publish="change", retain=True)
    agent.images.settled("cam")
    agent.pass_time(1)
    agent.configure()
    assert agent.link.payloads("cam/image") == [JPEG, b""]
