"""What a plain scalar means: the core schema of YAML 1.2 (section 10.3.2), and nothing more.

`no`, `12:30:45` and `2024-01-01` are text here.
"""

import re
from typing import Final

from civsync.core.limits import JSON_INT_DIGITS
from civsync.documents.nodes import Value

_NULL: Final = frozenset(["", "~", "null", "Null", "NULL"])
_BOOL: Final = {
    "true": True, "True": True, "TRUE": True,
    "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_NUMBER_START: Final = frozenset("+-.0123456789")
_INT: Final = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT: Final = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)"
    r"|\.(?:nan|NaN|NAN)"
)


class LongNumberError(ValueError):
    """A number of more digits than any that civsync reads."""


def plain_value(text: str) -> Value:
    """Return what `text` means where it is written without quotes.

    Raises LongNumberError, because reading a long number takes time that grows faster than
    its digits.
    """
    if text in _NULL:
        return None
    if text in _BOOL:
        return _BOOL[text]
    if text[0] not in _NUMBER_START:
        return text
    is_int = _INT.fullmatch(text) is not None
    if not is_int and not _FLOAT.fullmatch(text):
        return text
    if len(text) > JSON_INT_DIGITS:
        raise LongNumberError(f"a number of {len(text)} digits is refused")
    if not is_int:
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)
