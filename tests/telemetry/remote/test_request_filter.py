from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some

from inferd.records import Incoming
from inferd.telemetry.remote.request_filter import (
    AT_ONCE,
    PER_S,
    REMEMBERED,
    AcceptedRequest,
    RejectedRequest,
    RequestFilter,
)
from inferd.wire.requests import LIMIT_BYTES, VERBS, Interval, ModelArguments

NOW_S = 1000.0


@pytest.fixture
def gate() -> RequestFilter:
    return RequestFilter("inferd", "pi")


def request(verb: str, data: object = None, request_id: str = "1", **more: object) -> Incoming:
    asked = {"id": request_id} if data is None else {"id": request_id, "data": data}
    incoming = Incoming(f"inferd/pi/request/{verb}", json.dumps(asked).encode())
    return msgspec.structs.replace(incoming, **more)


def why(gate: RequestFilter, incoming: Incoming) -> str:
    turned = gate.admit(incoming, NOW_S)
    assert isinstance(turned, RejectedRequest)
    return turned.why


def test_a_request_is_let_in_with_what_it_says(gate: RequestFilter) -> None:
    assert gate.admit(request("interval", {"interval_s": 30}), NOW_S) == AcceptedRequest(
        "interval", "1", Interval(30.0)
    )
    wanted = ModelArguments("cam", "digits")
    assert gate.admit(
        request("models/activate", {"pipeline": "cam", "model": "digits"}, "2"), NOW_S
    ) == AcceptedRequest("models/activate", "2", wanted)


def test_what_is_no_request_is_none_of_ours(gate: RequestFilter) -> None:
    for topic in ("homeassistant/status", "inferd/pi/event", "inferd/other/request/ping", "request/ping"):
        assert gate.admit(Incoming(topic, b'{"id":"1"}'), NOW_S) is None


def test_an_unknown_verb_is_told_which_there_are(gate: RequestFilter) -> None:
    assert "there are ping, " in why(gate, request("shell"))


def test_a_retained_request_is_refused(gate: RequestFilter) -> None:
    assert "must not be retained" in why(gate, request("ping", retained=True))


def test_a_request_that_is_too_long_is_refused(gate: RequestFilter) -> None:
    assert "at most 16000 bytes" in why(gate, request("ping", {"x": "y" * LIMIT_BYTES}))


@pytest.mark.parametrize(
    ("verb", "data"),
    [
        ("ping", {"path": "/etc/passwd"}),
        ("interval", {}),
        ("interval", {"interval_s": 0}),
        ("interval", {"interval_s": "1"}),
        ("interval", {"interval_s": 1e9}),
        ("models/activate", {"pipeline": "cam"}),
        ("models/activate", {"pipeline": "cam", "model": "x" * 101}),
        ("models/rollback", {"pipeline": ["cam"]}),
        ("ping", []),
    ],
)
def test_what_does_not_fit_the_schema_is_refused(gate: RequestFilter, verb: str, data: object) -> None:
    assert why(gate, request(verb, data)).startswith("data: ")


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"id":1}', b'{"id":""}', b'{"id":"1","verb":"x"}', b"\xff"])
def test_what_is_no_request_at_all_is_told_what_one_is(gate: RequestFilter, payload: bytes) -> None:
    assert 'a request is {"id"' in why(gate, Incoming("inferd/pi/request/ping", payload))


def test_an_id_is_answered_once(gate: RequestFilter) -> None:
    assert gate.admit(request("ping"), NOW_S) is not None
    assert gate.admit(request("ping"), NOW_S) is None
    assert gate.admit(request("status"), NOW_S) is None
    assert gate.ignored == 2


def test_what_is_remembered_of_ids_is_bounded(gate: RequestFilter) -> None:
    for number in range(3 * REMEMBERED):
        gate.admit(request("ping", request_id=str(number)), NOW_S + number)
    assert len(gate._seen) == REMEMBERED  # noqa: SLF001 - its memory is what this is about


def test_too_many_at_once_are_not_answered(gate: RequestFilter) -> None:
    answered = [gate.admit(request("ping", request_id=str(number)), NOW_S) for number in range(100)]
    assert sum(one is not None for one in answered) == AT_ONCE
    answered = [gate.admit(request("ping", request_id=f"a{number}"), NOW_S + 2) for number in range(100)]
    assert sum(one is not None for one in answered) == 2 * PER_S


@pytest.mark.parametrize(
    ("asked_for", "topic"),
    [
        ("", "inferd/pi/response/ping"),
        ("client/7/answers", "inferd/pi/response/ping"),
        ("inferd/pi/response/", "inferd/pi/response/ping"),
        ("inferd/pi/response/mine", "inferd/pi/response/mine"),
        ("inferd/pi/status", "inferd/pi/response/ping"),
        ("inferd/other/request/reload", "inferd/pi/response/ping"),
        ("a/+/b", "inferd/pi/response/ping"),
        ("#", "inferd/pi/response/ping"),
        ("$SYS/broker", "inferd/pi/response/ping"),
        ("x" * 300, "inferd/pi/response/ping"),
    ],
)
def test_an_answer_goes_where_it_is_wanted_only_below_the_devices_own_responses(
    gate: RequestFilter, asked_for: str, topic: str
) -> None:
    assert gate.response_topic(request("ping", response_topic=asked_for), "ping") == topic


TOPICS = some.one_of(
    some.text(max_size=40),
    some.sampled_from([*VERBS, "models", "shell", "../ping", "ping/", "PING", ""]).map("inferd/pi/request/{}".format),
)
VALUES = some.recursive(
    some.none() | some.booleans() | some.floats() | some.integers() | some.text(max_size=20),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
KEYS = some.sampled_from(["pipeline", "model", "interval_s", "path", "cmd"])
PAYLOADS = some.one_of(
    some.binary(max_size=60),
    VALUES.map(lambda value: json.dumps(value).encode()),
    some.builds(
        lambda request_id, data: json.dumps({"id": request_id, "data": data}).encode(),
        some.text(max_size=80),
        some.dictionaries(KEYS, VALUES, max_size=3),
    ),
)


@given(some.lists(some.builds(Incoming, TOPICS, PAYLOADS, some.booleans(), some.text(max_size=30)), max_size=30))
def test_whatever_comes_only_what_is_in_the_table_is_let_in(heard: list[Incoming]) -> None:
    gate = RequestFilter("inferd", "pi")
    for number, incoming in enumerate(heard):
        asked = gate.admit(incoming, NOW_S + number)
        if isinstance(asked, AcceptedRequest):
            assert incoming.topic == f"inferd/pi/request/{asked.verb}"
            assert type(asked.arguments) is VERBS[asked.verb].takes
            assert not incoming.retained
            assert len(incoming.payload) <= LIMIT_BYTES
        elif isinstance(asked, RejectedRequest):
            assert incoming.topic.startswith("inferd/pi/request/")
            assert not gate.response_topic(incoming, asked.verb).startswith("inferd/pi/request")
