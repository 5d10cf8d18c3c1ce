from __future__ import annotations

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from inferd.errors import SourceError
from inferd.sources.camera.address import parse
from inferd.sources.camera.http_auth import Login

ODD = string.ascii_letters + string.digits + "@:/?#[]%;&=.-_~!$'()*+, \\\"<>üß\u200b\x00\n\ud800٣"


@given(st.text(ODD, max_size=40), st.sampled_from(["http://", "rtsp://", "https://", "", "file://", "http:"]))
@example("[::1/x", "http://")
@example("cam:99999/x", "http://")
@example("a" * 64 + ".local/x", "http://")
@example("admin:pa/ss@cam", "rtsp://")
@example("cam:x/", "http://")
def test_any_text_is_an_ascii_address_or_one_sentence(rest: str, scheme: str) -> None:
    try:
        address = parse(scheme + rest)
    except SourceError as exc:
        told = str(exc)
    else:
        told = ""
    assert not told or told.isprintable()
    if told:
        return
    assert address.host
    whole = address.url(Login("ü ser", "p/ss@:"))
    assert whole.isascii()
    assert whole.isprintable()
    assert parse(whole).target == address.target  # nothing is encoded twice
    assert parse(whole).login.password == "p/ss@:"  # noqa: S105 - of no account


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://cam:99999/x", "cannot be read as an address; check its host and port"),
        ("http://[::1/x", "cannot be read as an address; check its host and port"),
        ("rtsp://admin:pa/ss@cam/live", "give the login as username and password_file"),
        ("http://" + "a" * 64 + ".local/", "longer than 63 letters"),
        ("http://cam/a b", "spaces"),
        ("ftp://cam/x", "begins with one of"),
        ("", "begins with one of"),
    ],
)
def test_what_is_wrong_with_an_address_is_told_without_its_secrets(url: str, told: str) -> None:
    with pytest.raises(SourceError, match=told) as caught:
        parse(url)
    assert "pa/ss" not in str(caught.value)


def test_hosts_and_paths_are_encoded() -> None:
    address = parse("http://bücher.example:81/küche.mjpg?q=ä&x=%20")
    assert (address.host, address.port) == ("xn--bcher-kva.example", 81)
    assert address.target == "/k%C3%BCche.mjpg?q=%C3%A4&x=%20"
