import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.limits import JSON_INT_DIGITS
from civsync.documents.json_text import JsonTextError, bounded_json

RECORDED = sorted((Path(__file__).parent.parent / "data" / "civitai").glob("*.json"))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("", "line 1, column 1", id="empty"),
        pytest.param("{", "line 1, column 2", id="truncated"),
        pytest.param('{"a": 1} x', "Extra data", id="trailing text"),
        pytest.param("<html>", "line 1, column 1", id="HTML"),
        pytest.param("[" * 100_000, "deep", id="nested too deeply"),
        pytest.param('{"a":' * 100_000, "deep", id="objects nested too deeply"),
        pytest.param("[NaN]", "NaN", id="NaN"),
        pytest.param("[-Infinity]", "-Infinity", id="infinity"),
        pytest.param('{"a": 1, "b": 2, "a": 3}', "'a' stands twice", id="duplicate key"),
        pytest.param('[{"x": {"k": 1, "k": 1}}]', "'k' stands twice", id="duplicate key within"),
        pytest.param("[" + "9" * 5000 + "]", "5000 digits", id="5,000-digit integer"),
        pytest.param(b'"\xff"', "UTF-8 at byte 1", id="not UTF-8"),
        pytest.param(b'\xff\xfe"\x00a\x00"\x00', "UTF-8", id="UTF-16"),
    ],
)
def test_what_no_honest_program_writes_is_refused(text: str | bytes, why: str) -> None:
    with pytest.raises(JsonTextError, match=why):
        bounded_json(text)


def test_more_bytes_than_allowed_are_not_even_parsed() -> None:
    assert bounded_json("[1]", cap=3) == [1]
    with pytest.raises(JsonTextError, match="more than 3 bytes"):
        bounded_json(b"[NaN", cap=3)


def test_a_byte_order_mark_and_long_but_sane_integers_are_read() -> None:
    assert bounded_json(b"\xef\xbb\xbf[1]") == [1]
    assert bounded_json("9" * JSON_INT_DIGITS) == int("9" * JSON_INT_DIGITS)


@pytest.mark.parametrize("path", RECORDED, ids=lambda p: p.stem)
def test_recorded_answers_are_read_as_the_plain_parser_reads_them(path: Path) -> None:
    assert bounded_json(path.read_bytes()) == json.loads(path.read_bytes())


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_the_one_error(data: bytes) -> None:
    with contextlib.suppress(JsonTextError):
        bounded_json(data)
