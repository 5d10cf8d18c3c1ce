"""Cuts MQTT packets that are too large while they are read, by the length in their fixed header. Pure but for the read.

paho collects a whole packet in memory before anyone can look at it: a publish of 200 MB cost 600 MB (paho-mqtt 2.2.0,
November 2026). MQTT 5 lets a client name a maximum packet size; MQTT 3.1.1 does not, and a broker may ignore it.
"""

from __future__ import annotations

from collections.abc import Callable

LENGTH_BYTES = 4  # at most, of the remaining length in a fixed header
CHUNK_BYTES = 65_536
CHUNKS = 16  # dropped in one read, so that sending goes on meanwhile
GREETING_BYTES = 8


class PacketCutter:
    """Reads a stream of packets and shortens those above a limit; what is cut off is read and dropped.

    A PUBLISH that is cut keeps its topic and packet id, so that it can be acknowledged.

    Attributes:
        cut: how many packets were shortened.
        greeting: the first bytes of the stream, which tell an MQTT broker from other servers.
    """

    def __init__(self, limit_bytes: int) -> None:
        """Cut packets to `limit_bytes` after their fixed header."""
        self.cut = 0
        self.greeting = b""
        self._limit_bytes = limit_bytes
        self._header = bytearray()
        self._ready = b""
        self._body_bytes = 0
        self._drop_bytes = 0

    def read(self, recv: Callable[[int], bytes], size: int) -> bytes:
        """Return up to `size` bytes of the shortened stream, b"" at its end.

        Args:
            recv: returns up to so many bytes of the stream, b"" at its end.
            size: 1 or more.

        Raises:
            BlockingIOError: `recv` has nothing more for now, or a large packet is being dropped.
        """
        between = not self._ready and not self._body_bytes
        if between and not (self._drop(recv) and self._read_header(recv)):
            return b""
        if self._ready:
            piece, self._ready = self._ready[:size], self._ready[size:]
            return piece
        piece = recv(min(size, self._body_bytes))
        self._body_bytes -= len(piece)
        self.greeting += piece[: GREETING_BYTES - len(self.greeting)]
        return piece

    def _drop(self, recv: Callable[[int], bytes]) -> bool:
        """Read what was cut off the packet before; return False at the end of the stream."""
        for _ in range(CHUNKS):
            if not self._drop_bytes:
                return True
            piece = recv(min(CHUNK_BYTES, self._drop_bytes))
            self._drop_bytes -= len(piece)
            if not piece:
                return False
        raise BlockingIOError

    def _read_header(self, recv: Callable[[int], bytes]) -> bool:
        """Read a fixed header and prepare the one that is passed on; return False at the end of the stream."""
        while len(self._header) < 2 or (self._header[-1] & 0x80 and len(self._header) <= LENGTH_BYTES):  # noqa: PLR2004 - type and length
            byte = recv(1)
            if not byte:
                return False
            self._header += byte
            self.greeting += byte[: GREETING_BYTES - len(self.greeting)]
        length = sum((byte & 0x7F) << (7 * at) for at, byte in enumerate(self._header[1:]))
        kept = min(length, self._limit_bytes)
        self._ready = bytes(self._header) if kept == length else bytes([self._header[0]]) + remaining_length(kept)
        self._body_bytes, self._drop_bytes = kept, length - kept
        self.cut += kept < length
        self._header.clear()
        return True


def remaining_length(size_bytes: int) -> bytes:
    """Return a length as a fixed header has it: seven bits a byte, the lowest first."""
    encoded = bytearray()
    while True:
        size_bytes, low = divmod(size_bytes, 128)
        encoded.append(low | (0x80 if size_bytes else 0))
        if not size_bytes:
            return bytes(encoded)
