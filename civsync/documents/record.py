"""Small JSON records of civsync's own, without the typed decoder.

A run with nothing to do reads four of them. Importing msgspec for that would take longer than
reading ten thousand files' stamps, so here is the standard parser, and who asked looks at
each value. The traps of it are closed: whatever is no JSON object in UTF-8 is refused, and
so is text with half a surrogate pair, which no path could be made of.
"""

import json
from collections.abc import Mapping
from typing import Final

from blake3 import blake3

_SURROGATE: Final = "\\ud"


class RecordError(ValueError):
    """The bytes are no record, or the values have no form as one."""


def digest_of(data: bytes | memoryview) -> str:
    """Return the BLAKE3 of `data` in lower-case hex: what is compared on this machine alone.

    It is three times as fast as SHA-256, and OpenSSL takes longer to load than such a run to look.
    """
    return blake3(data).hexdigest()


def read_record(data: bytes) -> Mapping[str, object]:
    """Return what the JSON object in `data` holds. Raises RecordError."""
    try:
        text = data.decode()
        value: object = json.loads(text)
        if _SURROGATE in text.lower():
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise RecordError("JSON is nested too deeply") from None
    except ValueError as error:
        raise RecordError(str(error)) from None
    if not isinstance(value, dict):
        raise RecordError("it is no JSON object")
    return value


def write_record(record: Mapping[str, object], *, indent: int | None = 2) -> bytes:
    """Return `record` as JSON with a newline at the end; `indent` None puts it on one line.

    Raises RecordError for text that has no UTF-8 form.
    """
    try:
        return json.dumps(record, ensure_ascii=False, indent=indent).encode() + b"\n"
    except UnicodeEncodeError as error:
        raise RecordError(str(error)) from None


def text_in(record: Mapping[str, object], key: str) -> str:
    """Return the text under `key`. Raises RecordError if there is none."""
    value = record.get(key)
    if not isinstance(value, str):
        raise RecordError(f"{key} is no text")
    return value


def number_in(record: Mapping[str, object], key: str) -> int:
    """Return the whole number under `key`. Raises RecordError if there is none."""
    value = record.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise RecordError(f"{key} is no whole number")
    return value


def numbers_in(record: Mapping[str, object], key: str) -> tuple[int, ...]:
    """Return the whole numbers in the list under `key`. Raises RecordError if there is none."""
    value = record.get(key)
    if not isinstance(value, list) or not all(type(each) is int for each in value):
        raise RecordError(f"{key} is no list of whole numbers")
    return tuple(value)


def texts_in(record: Mapping[str, object], key: str) -> tuple[str, ...]:
    """Return the texts in the list under `key`. Raises RecordError if there is none."""
    value = record.get(key)
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise RecordError(f"{key} is no list of texts")
    return tuple(value)
