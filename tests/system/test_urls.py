from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.system.urls import shown_url, without_logins

SECRET = "s3cret"  # noqa: S105 - of no account


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://cam.local:554/live/main", "rtsp://cam.local:554/live/main"),
        ("rtsp://admin:s3cret@cam/live", "rtsp://cam/live"),
        ("rtsp://admin:pa/s3cret@cam/live", "rtsp://...@cam/live"),
        ("rtsp://admin:pa?s3cret@cam/live", "rtsp://...@cam/live"),
        ("rtsp://admin:s3cret", "rtsp://admin"),
        ("http://cam/cgi?usr=admin&pwd=s3cret", "http://cam/cgi"),
        ("http://cam/v.cgi;loginuse=a;loginpas=s3cret", "http://cam/v.cgi..."),
        ("rtsp://cam/user=admin_password=s3cret_channel=1.sdp?real", "rtsp://cam/user..."),
        ("http://[fe80::1]:8080/a#s3cret", "http://[fe80::1]:8080/a"),
        ("http://[::1/x", "http://"),
        ("cam.local/video", "cam.local/video"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert shown_url(url) == shown


NAMES = st.text(string.ascii_letters, min_size=1, max_size=8).filter(lambda name: SECRET not in name)
PASSWORDS = st.text(string.punctuation, max_size=6)


@given(NAMES, PASSWORDS, PASSWORDS, NAMES)
def test_no_password_before_the_host_is_shown_whatever_is_in_it(user: str, before: str, after: str, path: str) -> None:
    assert SECRET not in shown_url(f"rtsp://{user}:{before}{SECRET}{after}@cam/{path}")


@given(st.text())
def test_any_text_is_shown_in_printable_characters_of_bounded_length(text: str) -> None:
    shown = shown_url(text)
    assert not shown or shown.isprintable()
    assert len(shown) < 210


@given(st.sampled_from("?#;&="), NAMES, st.text(string.ascii_letters + string.punctuation, max_size=12))
def test_nothing_after_the_path_is_shown(mark: str, key: str, before: str) -> None:
    before = before.replace("@", "").replace("/", "")
    assert SECRET not in shown_url(f"http://cam/video{mark}{key}={before}{SECRET}")


def test_what_a_program_prints_is_shown_without_logins() -> None:
    said = "[rtsp @ 0x55] rtsp://admin:s3cret@cam/live?token=s3cret: Connection refused"
    assert without_logins(said) == "[rtsp @ 0x55] rtsp://cam/live Connection refused"
