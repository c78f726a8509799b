"""JSON in and out: wrong types, wrong text, too deep, and always the same bytes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from civsync.documents.json_codec import CodecError, decode, encode, pretty


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    name: str
    sizes: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


SHELF = Shelf(name="ä", sizes=(1, 2**53), labels={"b": "2", "a": "1"})


def test_values_come_back_as_they_were() -> None:
    assert decode(encode(SHELF), Shelf) == SHELF
    assert decode(pretty(encode(SHELF)), Shelf) == SHELF


def test_the_order_of_a_mapping_does_not_show() -> None:
    turned = Shelf(name="ä", sizes=(1, 2**53), labels={"a": "1", "b": "2"})
    assert encode(turned) == encode(SHELF)


def test_pretty_text_has_a_key_a_line_and_ends_in_a_newline() -> None:
    assert pretty(b'{"a":{"b":1}}') == b'{\n  "a": {\n    "b": 1\n  }\n}\n'


@pytest.mark.parametrize(
    ("data", "path"),
    [
        pytest.param(b'{"name":3}', "$.name", id="wrong-type"),
        pytest.param(b'{"name":"a","sizes":[1,"2"]}', "$.sizes[1]", id="in-a-tuple"),
        pytest.param(b'{"name":"a","labels":{"b":2}}', "$.labels[...]", id="in-a-mapping"),
        pytest.param(b"{}", "$", id="missing-key"),
        pytest.param(b"[]", "$", id="array"),
        pytest.param(b'{"name":"a","sizes":[1e400]}', "", id="huge-number"),
    ],
)
def test_a_value_of_the_wrong_type_is_named_by_its_path(data: bytes, path: str) -> None:
    with pytest.raises(CodecError) as error:
        decode(data, Shelf)
    assert error.value.path.startswith(path)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b'{"name":"a"', id="truncated"),
        pytest.param(b'{"name":"a"} x', id="trailing"),
        pytest.param(b'{"name":NaN}', id="nan"),
        pytest.param(b'{"name":"\xff"}', id="not-utf-8"),
        pytest.param(b'{"name":"\\ud800"}', id="lone-surrogate"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte-order-mark"),
        pytest.param(b"\0\0\0\0", id="zeros"),
    ],
)
def test_text_that_is_not_json_is_malformed(data: bytes) -> None:
    with pytest.raises(CodecError) as error:
        decode(data, Shelf)
    assert error.value.malformed


def test_deep_nesting_is_an_error_and_no_crash() -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    with pytest.raises(CodecError):
        decode(deep, Any)
    with pytest.raises(CodecError):
        pretty(deep)


@pytest.mark.parametrize(
    "value", ["\ud800", object(), {1: object()}], ids=["surrogate", "object", "object inside"]
)
def test_what_has_no_json_form_is_refused(value: object) -> None:
    with pytest.raises(CodecError):
        encode(value)
