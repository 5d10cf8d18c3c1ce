"""Sends a request to a device over its broker, as `inferd ask` does, encrypted where the device wants that."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Self
from uuid import uuid4

import msgspec

from inferd.config.settings import Mqtt
from inferd.errors import LinkError
from inferd.system.clock import Clock
from inferd.telemetry.encryption.payload import sealer
from inferd.telemetry.mqtt.subscriber import Subscriber
from inferd.wire.decoding import decode
from inferd.wire.requests import STALE, Request
from inferd.wire.telemetry import Header
from inferd.wire.topics import INFO, OFFLINE, REQUEST, RESPONSE, STATUS, full_topic, is_device_id

LOOK_S = 0.02
TRIES = 2  # a request that quotes what is too old is asked again; the refusal itself is new enough


class ReceivedResponse(Header, frozen=True):
    """A response as it arrives."""

    id: str = ""
    error: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"null")


class ReceivedInfo(Header, frozen=True):
    """The `info` of a device; `sealed` if it cannot be decrypted."""

    sealed: str = ""


_info = msgspec.json.Decoder(ReceivedInfo)
_answer = msgspec.json.Decoder(ReceivedResponse)


class RequestClient:
    """Owned by one thread. Use it in a `with`."""

    def __init__(self, broker: Mqtt, device: str, password: str, clock: Clock) -> None:
        """Connect, and subscribe to the device.

        Args:
            broker: where it is, who we are to it, and the key of sealed messages.
            device: its id.
            password: for the user name in `broker`; "" for none.
            clock: for waiting.

        Raises:
            LinkError: a certificate or key in `broker` cannot be used, or `device` is no device id.
        """
        if not is_device_id(device):
            raise LinkError(repr(device), "is no device id: letters, digits, - and _, at most 64")
        self._device = device
        self._below = full_topic(broker.prefix, device, "")
        self._where = f"broker {broker.host}:{broker.port}"
        self._clock = clock
        self._sealer = sealer(broker.seal_key_file)
        self._info: ReceivedInfo | None = None
        self._online = True
        self._responses: list[ReceivedResponse] = []
        self._refused = ""
        topics = [f"{self._below}{topic}" for topic in (INFO.path, STATUS.path, f"{RESPONSE}#")]
        self._subscriber = Subscriber(broker, topics, password)

    def ask(self, verb: str, data: bytes, timeout_s: float) -> bytes:
        """Ask; return what the device answers, as JSON.

        Args:
            verb: one of the table of requests.
            data: what it takes, as JSON.
            timeout_s: how long to wait at most, for the device and for its answer.

        Raises:
            LinkError: the broker or the device does not answer, or the device refuses.
        """
        ends_ns = self._clock.monotonic_ns() + round(timeout_s * 1e9)
        heard: Header = self._await_device(ends_ns)
        for _ in range(TRIES):
            heard = answer = self._answer(verb, data, heard, ends_ns)
            if answer.error is None:
                return bytes(answer.data)
            why = answer.error
            if not why.startswith(STALE):
                break
        raise LinkError(self._device, why)

    def close(self) -> None:
        """Disconnect. Idempotent."""
        self._subscriber.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _await_device(self, ends_ns: int) -> ReceivedInfo:
        """Return the header of the device's `info`."""
        while self._info is None:
            self._turn(ends_ns, "no message of it came; is that its id, and may you read its topics?")
        if not self._online:
            raise LinkError(self._device, "is offline")
        if self._info.sealed:
            raise LinkError(self._device, "encrypts its messages; name its key with --seal-key-file")
        return self._info

    def _answer(self, verb: str, data: bytes, heard: Header, ends_ns: int) -> ReceivedResponse:
        request_id = uuid4().hex
        request = msgspec.json.encode(Request(request_id, msgspec.Raw(data)))
        payload = self._sealer.seal_request(verb, heard, request) if self._sealer else request
        self._subscriber.send(f"{self._below}{REQUEST}{verb}", payload)
        while True:
            while self._responses:
                answer = self._responses.pop(0)
                if answer.id == request_id:
                    return answer
                if not answer.id:  # the device could not read a request: ours, or anybody's
                    self._refused = answer.error or ""
            why = "it gave no answer in time; `requests = false` in its [mqtt], or the broker's ACL?"
            self._turn(ends_ns, f"it refused a request that has no id: {self._refused}" if self._refused else why)

    def _turn(self, ends_ns: int, why: str) -> None:
        """Receive for a moment.

        Raises:
            LinkError: there is no more time.
        """
        if self._clock.monotonic_ns() > ends_ns:
            if not self._subscriber.ready:
                raise LinkError(self._where, self._subscriber.why)
            if self._subscriber.unreadable and self._info is None:
                why = "its messages are encrypted with another key, or not at all; correct or leave out --seal-key-file"
            raise LinkError(self._device, why)
        for message in self._subscriber.pop_all():
            with contextlib.suppress(msgspec.MsgspecError):  # any client may publish there
                self._receive(message.topic.removeprefix(self._below), message.payload)
        self._clock.pause(LOOK_S)

    def _receive(self, below: str, payload: bytes) -> None:
        if below == INFO.path:
            info = decode(_info, payload)
            self._info = info if info.device == self._device else None
        elif below == STATUS.path:
            self._online = payload != OFFLINE
        else:
            self._responses.append(decode(_answer, payload))
