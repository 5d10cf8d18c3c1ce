"""Opens requests on a device whose messages are sealed, and refuses what was recorded earlier. Pure but for the key's file.

There may be no clock to date a request by. So whoever asks quotes a message of the device, by `boot_id` and `seq`: one of this
start, and none that lies behind what is remembered of requests. What the gate remembers it does not obey twice; what it has
forgotten is too old.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from inferd.errors import LinkError
from inferd.telemetry.connection_errors import Stale
from inferd.telemetry.encryption.payload import sealer
from inferd.wire.decoding import decode
from inferd.wire.requests import STALE, SealedRequest

_sealed = msgspec.json.Decoder(SealedRequest)


class MessageCounter(Protocol):
    """Whoever speaks for the device; `seq` is the number of its newest message."""

    device: str
    boot_id: str
    seq: int


class RequestDecryptor:
    """Owned by control's main thread."""

    def __init__(self, speaker: MessageCounter, key_file: str) -> None:
        """Open with the key in a file, read anew for every request; where there is no file, requests are plain.

        Args:
            speaker: what may be quoted.
            key_file: 32 octets or 64 hex digits; "" for none.
        """
        self._speaker = speaker
        self._key_file = key_file
        self._oldest = 0

    def open(self, verb: str, payload: bytes) -> tuple[bytes, int]:
        """Return a request as it was before it was sealed, and the number of the message that it quotes; 0 where it is plain.

        Raises:
            Stale: it is too old.
            LinkError: it is plain and must not be, or was sealed with another key, for another verb or device.
        """
        key = sealer(self._key_file)
        if key is None:
            return payload, 0
        try:
            told = decode(_sealed, payload)
        except msgspec.MsgspecError:
            raise LinkError(
                verb, "this device takes sealed requests only (mqtt.seal_key_file); `inferd ask` seals them"
            ) from None
        request = key.open_request(verb, told)
        if told.device != self._speaker.device:
            raise LinkError(verb, f"it was sealed for {told.device!r}")
        if told.boot_id != self._speaker.boot_id or not self._oldest < told.seq <= self._speaker.seq:
            why = f"{STALE}: quote `boot_id` and `seq` of a newer message of this device, such as this one"
            raise Stale(verb, why, request)
        return request, told.seq

    def forget(self, quoted: int) -> None:
        """Refuse from now on what quotes this message or an earlier one: such a request is remembered no longer."""
        self._oldest = max(self._oldest, quoted)
