"""The local socket: requests, levels, streams; slow and hostile clients cost nothing but their own connection."""

from __future__ import annotations

import json
import os
import resource
import selectors
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest

from fixtures.agents.commands import FrameWorker, RecordingTable
from inferd.control.commands.frame_streams import FRAME_S, JPEG_BYTES
from inferd.control.commands.local_channel import LocalChannel
from inferd.control.commands.local_socket import (
    ACCEPTED_A_TURN,
    MOST_WAITING,
    NAME,
    REQUEST_S,
    VIEW_NAME,
    LocalListener,
    short_path,
)
from inferd.control.reporting.result_stream import ResultStream
from inferd.control.reporting.subscriber import MOST_SUBSCRIBERS, SLOW_S
from inferd.errors import StoreError
from inferd.records import Message
from inferd.system.clock import CountingClock
from inferd.wire.requests import LIMIT_BYTES, TABLE

BIG = json.dumps("y" * 100_000).encode()


class World:
    """A channel that listens, with clients of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = CountingClock()
        self.worker = FrameWorker(self.clock)
        self.table = RecordingTable({"reload": StoreError("inferd.toml", "is not TOML"), "models/list": BIG})
        self.results = ResultStream(self.clock)
        self.channel = LocalChannel(self.table, self.results, self.worker.request, self.clock)
        self.selector = selectors.DefaultSelector()
        self.channel.listen(folder, self.selector)

    def connect(self, name: str = NAME) -> socket.socket:
        """Return a connection that has sent nothing yet."""
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.settimeout(2.0)
        with short_path(self.folder, name) as short:
            client.connect(short)
        return client

    def send(self, packet: bytes, name: str = NAME) -> socket.socket:
        """Return a connection that has sent this."""
        client = self.connect(name)
        client.send(packet)
        self.channel.turn()
        return client

    def ask(self, verb: str, name: str = NAME, **data: object) -> socket.socket:
        """Return a connection that has asked."""
        return self.send(json.dumps({"verb": verb, "data": data}).encode(), name)

    def publish(self, pipeline: str = "cam", payload: bytes = b'{"frame":1}') -> None:
        """Publish a result."""
        self.results.publish(Message(f"{pipeline}/result", payload))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    world = World(tmp_path)
    yield world
    world.channel.close()
    world.selector.close()


def received(client: socket.socket) -> dict[str, object]:
    packet: dict[str, object] = json.loads(client.recv(70_000))
    return packet


def nothing(client: socket.socket) -> bool:
    return waiting(client) is None


def waiting(client: socket.socket) -> bytes | None:
    client.setblocking(False)
    try:
        return client.recv(70_000)
    except BlockingIOError:
        return None
    finally:
        client.settimeout(2.0)


def test_a_request_is_answered_and_the_connection_ends(world: World) -> None:
    client = world.ask("ping")
    assert received(client) == {"status": "ok", "data": {"x": 1}, "error": None, "in_file": False}
    assert client.recv(10) == b""


def test_a_large_answer_comes_by_descriptor(world: World) -> None:
    packet, fds, _, _ = socket.recv_fds(world.ask("models/list"), 70_000, 2)
    assert json.loads(packet)["in_file"] is True
    with os.fdopen(fds[0], "rb") as file:
        assert file.read() == BIG


@pytest.mark.parametrize(
    ("packet", "why"),
    [
        (b"\xff\xfe", "a request is"),
        (b"[" * 2000, "a request is"),
        (b'{"verb":"status","data":' + b"[" * 2000 + b"}", "a request is"),
        (b'{"verb":"status","more":' + b"[" * 2000 + b"]" * 2000 + b"}", "a request is"),
        (b'{"verb":"no-such"}', "there is no such request"),
        (b'{"verb":"snapshot","data":{"pipeline":7}}', "data: Expected `str`"),
        (b'{"verb":"snapshot","data":{"pipeline":"x"}}', "name one of its pipelines: cam"),
        (b"x" * (LIMIT_BYTES + 1), "at most"),
        (b'{"verb":"reload"}', "inferd.toml: is not TOML"),
    ],
    ids=["no text", "nested", "nested data", "nested surplus", "verb", "type", "pipeline", "long", "refused"],
)
def test_what_cannot_be_done_is_answered_with_a_sentence(world: World, packet: bytes, why: str) -> None:
    answer = received(world.send(packet))
    assert answer["status"] == "error"
    assert why in str(answer["error"])


def test_connections_that_say_nothing_are_closed(world: World) -> None:
    silent = [world.connect() for _ in range(MOST_WAITING)]
    world.channel.turn()
    world.clock.advance(REQUEST_S + 1)
    world.channel.turn()
    assert all(client.recv(1) == b"" for client in silent)
    assert received(world.ask("ping"))["status"] == "ok"


def test_many_connections_that_say_nothing_do_not_keep_others_out(world: World) -> None:
    silent = []
    for _ in range(3 * MOST_WAITING):
        silent.append(world.connect())
        world.channel.turn()
    assert received(world.ask("ping"))["status"] == "ok"
    assert sum(nothing(client) for client in silent) <= MOST_WAITING


def test_without_descriptors_a_connection_is_closed_and_does_not_wake_control_for_ever(world: World) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    client = world.connect()
    client.send(b'{"verb":"ping"}')
    highest = max(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - names
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, before[1]))
    filler: list[int] = []
    try:
        with suppress(OSError):
            filler.extend(iter(lambda: os.open(os.devnull, os.O_RDONLY), -1))
        world.channel.turn()
        assert world.selector.select(0) == []
    finally:
        for fd in filler:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    with suppress(ConnectionResetError):
        assert client.recv(10) == b""
    assert received(world.ask("ping"))["status"] == "ok"


def test_the_view_socket_is_for_its_group_and_carries_out_no_admin_verb(world: World) -> None:
    listener = LocalListener(world.folder, VIEW_NAME, "operate", world.clock, os.getgid())
    try:
        assert (world.folder / VIEW_NAME).stat().st_mode & 0o777 == 0o660
        refused = 0
        for verb, row in TABLE.items():
            client = world.connect(VIEW_NAME)
            client.send(json.dumps({"verb": verb}).encode())
            (call,) = listener.pop_calls()
            assert call.access == "operate"
            refused += row.level == "admin"
            call.connection.close()
        assert refused == 2
    finally:
        listener.close()


def test_results_come_as_they_are_published(world: World) -> None:
    client = world.ask("results")
    assert received(client)["status"] == "ok"
    world.publish("cam", b'{"frame":1}')
    world.publish("door", b'{"frame":2}')
    assert [received(client), received(client)] == [{"frame": 1}, {"frame": 2}]


def test_results_of_one_pipeline_are_its_alone(world: World) -> None:
    client = world.ask("results", pipeline="cam")
    received(client)
    world.publish("door", b'{"frame":2}')
    world.publish("cam", b'{"frame":3}')
    assert received(client) == {"frame": 3}
    assert nothing(client)


def test_a_slow_subscriber_learns_how_much_it_missed(world: World) -> None:
    client = world.ask("results")
    received(client)
    for number in range(1000):
        world.publish(payload=json.dumps({"frame": number, "x": "y" * 1000}).encode())
    frames = []
    while (packet := waiting(client)) is not None:
        frames.append(json.loads(packet)["frame"])
    world.publish(payload=b'{"frame":1000}')
    missed, last = received(client), received(client)
    assert (missed["dropped"], last) == (1000 - len(frames), {"frame": 1000})
    assert 0 < len(frames) < 1000


def test_a_subscriber_that_reads_nothing_is_closed(world: World) -> None:
    client = world.ask("results")
    for _ in range(1000):
        world.publish(payload=b"y" * 1000)
    assert subscribed(world)
    world.clock.advance(SLOW_S + 1)
    world.publish()
    world.channel.turn()
    assert not subscribed(world)
    client.close()


def subscribed(world: World) -> bool:
    return world.results.connected


def test_only_so_many_may_subscribe(world: World) -> None:
    clients = [world.ask("results") for _ in range(MOST_SUBSCRIBERS + 1)]
    answers = [received(client)["status"] for client in clients]
    assert answers == ["ok"] * MOST_SUBSCRIBERS + ["error"]
    clients[0].close()
    assert received(world.ask("results"))["status"] == "ok"


def test_one_encoded_frame_goes_to_all_who_look(world: World) -> None:
    clients = [world.ask("frames"), world.ask("frames", pipeline="cam")]
    for client in clients:
        received(client)
    world.channel.turn()
    assert world.worker.asked == [("cam", False, JPEG_BYTES)]
    world.worker.give(b"jpeg", frame=7)
    world.channel.turn()
    for client in clients:
        packet, fds, _, _ = socket.recv_fds(client, 70_000, 2)
        told = json.loads(packet)
        assert (told["pipeline"], told["frame"], told["result"]["labels"][0]["label"]) == ("cam", 7, "cat")
        assert os.pread(fds[0], 100, 0) == b"jpeg"
        with pytest.raises(PermissionError):  # none of them can change what the others see
            os.pwrite(fds[0], b"x", 0)
        os.close(fds[0])


def test_no_frame_is_taken_for_a_viewer_that_has_not_read_the_one_before(world: World) -> None:
    client = world.ask("frames")
    received(client)
    world.channel.turn()
    world.worker.give(b"jpeg")
    for _ in range(5):
        world.clock.advance(2 * FRAME_S)
        world.channel.turn()
    assert len(world.worker.asked) == 1
    _, fds, _, _ = socket.recv_fds(client, 70_000, 2)
    os.close(fds[0])
    world.channel.turn()
    assert len(world.worker.asked) == 2


def test_why_no_frame_comes_is_told_and_the_stream_goes_on(world: World) -> None:
    client = world.ask("frames")
    received(client)
    world.channel.turn()
    world.worker.refuse("pipeline 'cam' gave no result in 5 s")
    world.channel.turn()
    assert "gave no result" in str(received(client)["error"])
    world.clock.advance(2.0)
    world.channel.turn()
    assert len(world.worker.asked) == 2


def test_a_snapshot_comes_with_its_picture(world: World) -> None:
    client = world.ask("snapshot", drawn=True)
    assert world.worker.asked == [("cam", True, 0)]
    world.worker.give(b"png")
    world.channel.turn()
    packet, fds, _, _ = socket.recv_fds(client, 70_000, 2)
    assert json.loads(packet)["data"]["model"] == "fake (00000000)"
    assert os.pread(fds[0], 100, 0) == b"png"
    os.close(fds[0])


def test_a_storm_of_requests_is_served_a_few_at_a_time(world: World) -> None:
    clients = [world.connect() for _ in range(MOST_WAITING)]
    for client in clients:
        client.send(b'{"verb":"ping"}')
    world.channel.turn()
    assert len(world.table.done) <= ACCEPTED_A_TURN
    assert all(msgspec.json.decode(client.recv(1000))["status"] == "ok" for client in clients)
