"""Small records are read by the standard parser, with its traps closed."""

import pytest

from civsync.documents.record import (
    RecordError,
    number_in,
    read_record,
    text_in,
    texts_in,
    write_record,
)


@pytest.mark.parametrize("indent", [None, 2])
def test_what_is_written_is_read(indent: int | None) -> None:
    record = {"path": "D:\\udder/mødels \U0001f40c", "count": 3, "names": ["a", "b"]}
    data = write_record(record, indent=indent)
    assert read_record(data) == record
    assert data.endswith(b"\n")


def test_one_line_is_one_line() -> None:
    assert write_record({"a": "b\nc", "d": [1]}, indent=None).count(b"\n") == 1


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{} {}", id="two"),
        pytest.param(b'{"a": "\xff"}', id="no UTF-8"),
        pytest.param("{}".encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"a": "\\ud800"}', id="half a surrogate pair"),
        pytest.param(b'{"a": {"\\uDC80": 1}}', id="half a pair as a key"),
        pytest.param(b'{"a": ' + b"[" * 100_000, id="deep"),
        pytest.param(b'{"a": ' + b"9" * 10_000 + b"}", id="a number of 10,000 digits"),
    ],
)
def test_what_is_no_record_is_refused(data: bytes) -> None:
    with pytest.raises(RecordError):
        read_record(data)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert read_record(b'{"a": "\\ud83d\\udc0c"}') == {"a": "\U0001f40c"}


def test_text_without_a_form_is_not_written() -> None:
    with pytest.raises(RecordError):
        write_record({"root": "\udcff"})


@pytest.mark.parametrize("value", [None, 1, True, [], {}], ids=repr)
def test_what_is_no_text_is_refused(value: object) -> None:
    with pytest.raises(RecordError, match="key is no text"):
        text_in({"key": value}, "key")


@pytest.mark.parametrize("value", [None, "1", True, 1.0, []], ids=repr)
def test_what_is_no_whole_number_is_refused(value: object) -> None:
    with pytest.raises(RecordError, match="key is no whole number"):
        number_in({"key": value}, "key")


@pytest.mark.parametrize("value", [None, "a", ["a", 1], {"a": "b"}], ids=repr)
def test_what_is_no_list_of_texts_is_refused(value: object) -> None:
    with pytest.raises(RecordError, match="key is no list of texts"):
        texts_in({"key": value}, "key")


def test_what_is_missing_is_refused() -> None:
    for look in (text_in, number_in, texts_in):
        with pytest.raises(RecordError):
            look({}, "key")
