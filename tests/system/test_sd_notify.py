"""What systemd is told."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from inferd.system.sd_notify import STATUS_CHARACTERS, Notifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    """Listen where a notifier speaks."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(1)
        yield sock


def test_ready_carries_the_status(systemd: socket.socket) -> None:
    assert Notifier(systemd.getsockname()).ready("digits: running")
    assert systemd.recv(4096) == b"READY=1\nSTATUS=digits: running"


def test_a_reload_carries_the_monotonic_time_in_microseconds(systemd: socket.socket) -> None:
    Notifier(systemd.getsockname()).reloading(5_000_000_000)
    assert systemd.recv(4096) == b"RELOADING=1\nMONOTONIC_USEC=5000000"


def test_a_status_is_one_bounded_line(systemd: socket.socket) -> None:
    Notifier(systemd.getsockname()).status("first\nsecond" * 1000)
    told = systemd.recv(65536)
    assert told.startswith(b"STATUS=first second")
    assert len(told) == len("STATUS=") + STATUS_CHARACTERS


def test_a_status_with_a_foreign_name_is_sent(systemd: socket.socket) -> None:
    assert Notifier(systemd.getsockname()).status("cannot open " + os.fsdecode(b"f\xfcr"))
    assert systemd.recv(4096) == b"STATUS=cannot open f\\xfcr"


def test_an_abstract_socket_is_spoken_to() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0inferd-test-notify")
        sock.settimeout(1)
        assert Notifier("@inferd-test-notify").stopping()
        assert sock.recv(4096) == b"STOPPING=1"


def test_without_a_socket_nothing_is_told() -> None:
    assert not Notifier("").alive()


def test_a_socket_that_is_gone_is_no_error(tmp_path: Path) -> None:
    assert not Notifier(str(tmp_path / "gone")).alive()


def test_a_full_queue_never_blocks(systemd: socket.socket) -> None:
    notifier = Notifier(systemd.getsockname())
    assert not all(notifier.alive() for _ in range(5000))
