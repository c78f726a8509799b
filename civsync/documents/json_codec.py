"""JSON text to typed values and back: the one module that names msgspec.

`decode` checks types while it parses, straight into frozen dataclasses, so ten thousand
files cost tens of milliseconds. It refuses NaN, lone surrogates, text after the end and
nesting that would exhaust the stack. It does not refuse keys that the type does not
name, nor a key that stands twice (the last wins): callers for whom these matter look
themselves.
"""

import re
from typing import Final, TypeVar

import msgspec

T = TypeVar("T")

_PATH: Final = re.compile(r" - at (?:`|key in `)(?P<path>[^`]*)`\Z")
_OFFSET: Final = re.compile(r"\(byte (?P<offset>\d+)\)\Z")


class CodecError(ValueError):
    """The text is not JSON, or not of the type asked for.

    `path` is like "$.entries[...].size", "" where the text is not JSON at all; `offset`
    is the byte at fault where that is known.
    """

    def __init__(self, message: str, *, path: str = "", offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.offset = offset

    @property
    def malformed(self) -> bool:
        """Whether the text is not even JSON."""
        return not self.path


def decode(data: bytes, type: type[T]) -> T:  # noqa: A002 - the field's word for it, as in msgspec
    """Return the value of `type` that `data` holds.

    Raises CodecError.
    """
    try:
        return msgspec.json.decode(data, type=type)
    except msgspec.ValidationError as error:
        text = str(error)
        found = _PATH.search(text)
        raise CodecError(
            text[: found.start()] if found else text, path=found["path"] if found else "$"
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        text = str(error)
        spot = _OFFSET.search(text)
        raise CodecError(text, offset=int(spot["offset"]) if spot else None) from None
    except RecursionError:
        raise CodecError("JSON is nested too deeply") from None


def encode(value: object) -> bytes:
    """Return `value` as compact JSON; the same value gives the same bytes everywhere.

    Keys of mappings are sorted, fields of dataclasses keep their order. Raises CodecError
    for text that has no UTF-8 form and for values that JSON has no form for.
    """
    try:
        return msgspec.json.encode(value, order="deterministic")
    except (TypeError, ValueError, RecursionError) as error:
        raise CodecError(f"cannot be written as JSON: {error}") from None


def pretty(data: bytes) -> bytes:
    """Return the JSON text `data` indented by two, a key a line, with a newline at the end.

    Raises CodecError if `data` is not JSON.
    """
    try:
        return msgspec.json.format(data, indent=2) + b"\n"
    except RecursionError:
        raise CodecError("JSON is nested too deeply") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CodecError(str(error)) from None
