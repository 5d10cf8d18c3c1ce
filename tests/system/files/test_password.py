"""A password file holds the password and nothing else; what else it seems to hold is told without quoting it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferd.system.files.password import read_password

SECRET = "tr0ub4dor"  # noqa: S105 - of no use elsewhere


@pytest.mark.parametrize("content", [SECRET, f"{SECRET}\n", f"{SECRET}\r\n", f"\ufeff{SECRET}\n"])
def test_a_password_is_the_line_alone(content: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(content.encode())
    assert (read_password(tmp_path / "p").text, read_password(tmp_path / "p").hint) == (SECRET, "")


@pytest.mark.parametrize(
    ("content", "text", "hint"),
    [
        (f'"{SECRET}"\n', f'"{SECRET}"', "in quotes"),
        (f"'{SECRET}'", f"'{SECRET}'", "in quotes"),
        (f"PASSWORD={SECRET}", f"PASSWORD={SECRET}", "a key such as PASSWORD="),
        (f"mqtt_pass: {SECRET}", f"mqtt_pass: {SECRET}", "a key such as PASSWORD="),
        (f"{SECRET}\n{SECRET}\n", f"{SECRET}\n{SECRET}", "has 2 lines"),
        (f"{SECRET} \n", f"{SECRET} ", "ends with a space"),
        (f" {SECRET}", f" {SECRET}", "begins or ends with a space"),
        (f"{SECRET}\0", f"{SECRET}\0", "control character"),
        ("pi:$7$101$abc$def==\n", "pi:$7$101$abc$def==", "mosquitto_passwd"),
        ("\n", "", "is empty"),
    ],
)
def test_what_looks_like_more_than_a_password_gets_a_hint(content: str, text: str, hint: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(content.encode())
    read = read_password(tmp_path / "p")
    assert read.text == text
    assert hint in read.hint
    assert SECRET not in read.hint


@pytest.mark.parametrize(
    ("content", "why"),
    [(SECRET.encode("utf-16"), "is not UTF-8"), (b"k\xfcche", "is not UTF-8"), (b"a" * 5000, "more than 4,096 bytes")],
)
def test_what_is_no_text_is_refused(content: bytes, why: str, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(ValueError, match=why):
        read_password(tmp_path / "p")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p")
    with pytest.raises(ValueError, match="no file"):
        read_password(tmp_path / "p")


@given(st.binary(max_size=50))
def test_no_content_ends_the_reader_in_another_way(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzzed-password"
    file.write_bytes(content)
    try:
        read_password(file)
    except ValueError as exc:
        assert "UTF-8" in str(exc)  # noqa: PT017 - a refusal is allowed, not wanted
