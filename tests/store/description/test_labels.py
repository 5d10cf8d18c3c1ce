"""Label files, as people and tools write them."""

from __future__ import annotations

import pytest

from inferd.errors import ModelError
from inferd.store.description.labels import LABELS_MAX, given_labels, parse_labels


def texts_of(content: bytes) -> tuple[str, ...]:
    return parse_labels("labels.txt", content).texts


def test_plain_lines_are_labels_by_position() -> None:
    assert texts_of(b"cat\ndog\n") == ("cat", "dog")


@pytest.mark.parametrize("content", [b"0  cat\n1  dog\n", b"0: cat\n1: dog\n", b"0:cat\n1:dog", b"0\tcat\n1\tdog\n"])
def test_numbered_lines_are_labels_by_number(content: bytes) -> None:
    labels = parse_labels("labels.txt", content)
    assert (labels.texts, labels.numbered) == (("cat", "dog"), True)


def test_numbers_may_leave_gaps() -> None:
    assert texts_of(b"0 person\n2 car\n\n5 bus\n") == ("person", "", "car", "", "", "bus")


def test_labels_that_begin_with_a_number_stay_plain_when_one_does_not() -> None:
    assert texts_of(b"7 up\n3 musketeers\ncola\n") == ("7 up", "3 musketeers", "cola")


@pytest.mark.parametrize("content", [b"7 up\n3 musketeers\n", b"1 cat\n0 dog\n", b"0 cat\n0 dog\n"])
def test_numbers_that_do_not_rise_are_a_question(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"begins every line with a number, but . follows .: sort the lines"):
        texts_of(content)


def test_digits_alone_are_labels() -> None:
    assert texts_of(b"0\n1\n2\n") == ("0", "1", "2")


def test_empty_lines_and_marks_for_nothing_are_gaps() -> None:
    assert texts_of(b"???\nperson\nn/a\n\nN/A\ncar\n\n\n") == ("", "person", "", "", "", "car")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbfcat\r\ndog\r\n", b"cat\rdog\r", b"  cat \ndog\t\n"])
def test_byte_order_marks_line_ends_and_spaces_do_not_matter(content: bytes) -> None:
    assert texts_of(content) == ("cat", "dog")


def test_a_unicode_line_separator_does_not_end_a_line() -> None:
    with pytest.raises(ModelError, match="line 1 holds a character that cannot be printed"):
        texts_of("a\u2028b\n".encode())


def test_terminal_codes_are_refused() -> None:
    with pytest.raises(ModelError, match=r"labels.txt: line 2 holds a character"):
        texts_of(b"cat\n\x1b[31mdog\n")


def test_what_is_not_utf8_is_refused() -> None:
    with pytest.raises(ModelError, match=r"is not UTF-8 text \(byte 1\); save it as UTF-8"):
        texts_of(b"k\xe4se\n")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"???\nn/a\n"])
def test_a_file_without_a_label_is_refused(content: bytes) -> None:
    with pytest.raises(ModelError, match="holds no label"):
        texts_of(content)


def test_a_file_larger_than_a_mebibyte_is_refused() -> None:
    with pytest.raises(ModelError, match="at most 1,048,576"):
        texts_of(b"a" * ((1 << 20) + 1))


def test_more_lines_than_the_bound_are_refused() -> None:
    with pytest.raises(ModelError, match="at most 100,000"):
        texts_of(b"a\n" * (LABELS_MAX + 1))


def test_a_number_beyond_the_bound_is_refused() -> None:
    with pytest.raises(ModelError, match="numbers a label 999,999,999"):
        texts_of(b"0 a\n999999999 b\n")


def test_a_label_longer_than_the_bound_is_refused() -> None:
    with pytest.raises(ModelError, match="line 1 has 501 characters"):
        texts_of(b"a" * 501)


def test_labels_that_a_manifest_lists_are_cleaned_alike() -> None:
    assert given_labels("m.toml", ("cat", " n/a ")).texts == ("cat", "")


def test_a_file_with_gaps_as_coco_has_them_keeps_its_numbers() -> None:
    lines = ["person", *["thing"] * 10, "n/a", "stop sign", *["thing"] * 77]
    texts = texts_of("\n".join(lines).encode())
    assert (len(texts), texts[0], texts[11], texts[12]) == (90, "person", "", "stop sign")
