"""Read sizes as people write them: "12 GB" is twelve times 1000³ bytes, "12 GiB" 1024³."""

import re
from fractions import Fraction
from typing import Final

SIZE_HINT: Final = (
    "Write a number and a unit, such as `12 GB` or `6.5 GiB`, or a whole number of bytes."
)

_SIZE: Final = re.compile(
    r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,6})?) *(?P<power>[kmgt]?)(?P<binary>i?)b", re.IGNORECASE
)
_POWERS: Final = ("", "k", "m", "g", "t")


class SizeError(ValueError):
    """A text that is no size."""


def parse_size(text: str) -> int:
    """Return the bytes that `text` means, rounded down, at least 1. Raises SizeError."""
    found = _SIZE.fullmatch(text.strip())
    shown = repr(text if len(text) <= 40 else text[:39] + "…")
    if found is None or (found["binary"] and not found["power"]):
        raise SizeError(f"{shown} is no size")
    power = _POWERS.index(found["power"].lower())
    size = int(Fraction(found["number"]) * (1024 if found["binary"] else 1000) ** power)
    if size == 0:
        raise SizeError(f"{shown} is less than one byte")
    return size
