"""Parse JSON that a stranger wrote, with the traps of the standard parser closed.

Refused: more bytes than allowed, nesting that exhausts the stack, duplicate keys (the
standard parser keeps the last, so two readers see two things), NaN and Infinity, and
integers of thousands of digits. What the values mean is not known here.
"""

import json
from typing import Final, NoReturn

from civsync.core.limits import ANSWER_BYTES, JSON_INT_DIGITS

_BOM: Final = "\ufeff"


class JsonTextError(ValueError):
    """A text is not JSON, or is JSON that no honest program writes."""


def bounded_json(text: str | bytes, *, cap: int = ANSWER_BYTES) -> object:
    """Return the value that `text` (at most `cap` bytes or characters; UTF-8) holds.

    Raises JsonTextError, with line and column where the parser knows them.
    """
    if len(text) > cap:
        raise JsonTextError(f"more than {cap} bytes of JSON")
    try:
        whole = text.decode("utf-8") if isinstance(text, bytes) else text
    except UnicodeDecodeError as error:
        raise JsonTextError(f"not UTF-8 at byte {error.start}") from None
    try:
        value: object = json.loads(
            whole.removeprefix(_BOM),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
        )
    except RecursionError:
        # Unchained: a thousand frames of parser in a traceback help nobody.
        raise JsonTextError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise JsonTextError(
            f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    return value


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise JsonTextError(f"the key {key[:80]!r} stands twice in one object")
            seen.add(key)
    return made


def _integer(digits: str) -> int:
    if len(digits) > JSON_INT_DIGITS:
        raise JsonTextError(f"an integer of {len(digits)} digits")
    return int(digits)


def _refuse_constant(name: str) -> NoReturn:
    raise JsonTextError(f"{name} is not JSON")
