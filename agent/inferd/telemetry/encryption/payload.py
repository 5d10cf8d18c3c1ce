"""Seals payloads, so that the broker and whoever breaks into it can neither read nor alter them; and opens them again.

ChaCha20-Poly1305 (RFC 8439) with one key for a device and all who watch it. Device, boot id and sequence stay readable and
are bound to the sealed part: none of it can be given out as another device's, or as another moment's. A watcher that has
seen (device, boot id, seq) takes it for what it is, a repetition. What has no header (`status`, Home Assistant's
discovery) is left as it is.
"""

from __future__ import annotations

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from inferd.errors import LinkError
from inferd.records import Message
from inferd.telemetry.connection_errors import BrokerRefused
from inferd.wire.decoding import decode
from inferd.wire.replay import MissedMessage, decode_missed
from inferd.wire.requests import SealedRequest
from inferd.wire.telemetry import Header

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

KEY_BYTES = 32
NONCE_BYTES = 12
KEY = "mqtt.seal_key_file"


class Sealed(Header, frozen=True, kw_only=True):
    """A sealed message: the header of what is inside, and in `sealed` nonce and ciphertext in Base64."""

    sealed: str


_header = msgspec.json.Decoder(Header)
_sealed = msgspec.json.Decoder(Sealed)
_encoder = msgspec.json.Encoder()


class PayloadCipher:
    """Seals and opens with one key. Any thread may use it."""

    def __init__(self, key: bytes) -> None:
        """Use this key.

        Args:
            key: 32 octets.

        Raises:
            Refused: it has another length, or the library is missing.
        """
        if len(key) != KEY_BYTES:
            raise BrokerRefused(
                KEY, f"the key has {len(key)} octets instead of {KEY_BYTES}; make one with `openssl rand -hex 32`"
            )
        self._cipher = _cipher(key)

    def seal(self, message: Message) -> Message:
        """Return a message that only those can read who have the key; one without a header as it is."""
        try:
            header = decode(_header, message.payload)
        except msgspec.MsgspecError:
            return message
        told = Sealed(**msgspec.structs.asdict(header), sealed=self._hide(message.payload, _bound(header)))
        return msgspec.structs.replace(message, payload=_encoder.encode(told))

    def open(self, payload: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            LinkError: it is not sealed, was sealed with another key, or altered on its way. Who has a key believes nothing
                that is not sealed with it: anybody at the broker can have said it.
        """
        try:
            told = decode(_sealed, payload)
        except msgspec.MsgspecError as exc:
            raise LinkError("message", f"it is not sealed; name the same {KEY} on its device") from exc
        shown = self._show(told.sealed, _bound(told))
        if shown is None:
            raise LinkError(
                told.device, f"message {told.seq} was encrypted with another key, or altered; correct {KEY}"
            )
        return shown

    def open_missed(self, payload: bytes) -> bytes:
        """Return a batch of what the broker missed with every message opened.

        Raises:
            LinkError: it is no batch, or one of its messages is not sealed, was sealed with another key, or altered on its way.
        """
        try:
            missed = decode_missed(payload)
        except msgspec.MsgspecError as exc:
            raise LinkError("message", "it is no batch of sealed messages") from exc
        return _encoder.encode([MissedMessage(one.topic, msgspec.Raw(self.open(bytes(one.message)))) for one in missed])

    def seal_request(self, verb: str, heard: Header, request: bytes) -> bytes:
        """Return a request that only the device can read, once; it is bound to its verb and to a message of the device.

        Args:
            verb: what is asked.
            heard: of the newest message of the device that is known.
            request: plain.
        """
        told = SealedRequest(heard.device, heard.boot_id, heard.seq, "")
        hidden = self._hide(request, _bound_request(verb, told))
        return _encoder.encode(msgspec.structs.replace(told, sealed=hidden))

    def open_request(self, verb: str, told: SealedRequest) -> bytes:
        """Return what a request was before it was sealed.

        Raises:
            LinkError: it was sealed with another key, or for another verb, or altered on its way.
        """
        shown = self._show(told.sealed, _bound_request(verb, told))
        if shown is None:
            raise LinkError(verb, f"it was encrypted with another key, for another verb, or altered; correct {KEY}")
        return shown

    def _hide(self, content: bytes, bound: bytes) -> str:
        nonce = os.urandom(NONCE_BYTES)  # 2^32 messages under one key leave a chance of 2^-33 that two are equal
        return base64.b64encode(nonce + self._cipher.encrypt(nonce, content, bound)).decode()

    def _show(self, hidden: str, bound: bytes) -> bytes | None:
        """Return what was hidden; None where it was not by this key, or is bound to something else."""
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - an optional library, there if there is a cipher

        try:
            content = base64.b64decode(hidden, validate=True)
            return self._cipher.decrypt(content[:NONCE_BYTES], content[NONCE_BYTES:], bound)
        except (InvalidTag, ValueError, binascii.Error):
            return None


def sealer(key_file: str) -> PayloadCipher | None:
    """Return what seals with the key in a file; None where there is no file.

    Raises:
        Refused: the file cannot be read, holds no key, or the library is missing.
    """
    if not key_file:
        return None
    try:
        content = Path(key_file).read_bytes()
    except OSError as exc:
        raise BrokerRefused(KEY, f"{key_file} cannot be read ({exc.strerror})") from exc
    if len(content) == KEY_BYTES:
        return PayloadCipher(content)
    try:
        return PayloadCipher(bytes.fromhex(content.decode("ascii").strip()))
    except ValueError as exc:  # UnicodeDecodeError is one
        raise BrokerRefused(
            KEY, f"{key_file} holds neither 32 octets nor 64 hex digits; `openssl rand -hex 32` makes them"
        ) from exc


def _bound(header: Header) -> bytes:
    """Return what the sealed part is bound to."""
    return f"{header.device}\n{header.boot_id}\n{header.seq}".encode()


def _bound_request(verb: str, told: SealedRequest) -> bytes:
    """Return what a sealed request is bound to; no message of the device is."""
    return f"request/{verb}\n{told.device}\n{told.boot_id}\n{told.seq}".encode()


def _cipher(key: bytes) -> ChaCha20Poly1305:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305  # noqa: PLC0415 - an optional library
    except ImportError as exc:
        raise BrokerRefused(KEY, "needs the package cryptography; pip install cryptography") from exc
    return ChaCha20Poly1305(key)
