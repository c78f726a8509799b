"""Read sizes and rates as people write them: "12 GB" is 12 times 1000³ bytes, "12 GiB" 1024³."""

import re
from fractions import Fraction
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import UserError

SIZE_HINT: Final = (
    "Write a number and a unit, such as `12 GB` or `6.5 GiB`, or a whole number of bytes."
)

RATE_HINT: Final = (
    "Write bytes a second, such as `20M`, `500K` or `1.5MiB`, or `none` for no limit."
)

_SIZE: Final = re.compile(
    r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,6})?) *(?P<power>[kmgt]?)(?P<binary>i?)b", re.IGNORECASE
)
_RATE: Final = re.compile(
    r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,6})?) *(?:(?P<power>[kmgt])(?P<binary>i?))?b?(?:/s)?",
    re.IGNORECASE,
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
    size = _bytes(found)
    if size == 0:
        raise SizeError(f"{shown} is less than one byte")
    return size


def parse_rate(text: str) -> int | None:
    """Return the bytes a second that `text` means, rounded down; None for `none` and `0`.

    The units are those of sizes, where `20M`, `20 MB` and `20MB/s` are the same, and a bare
    number counts bytes. Raises UserError usage.
    """
    asked = text.strip()
    if asked.casefold() == "none":
        return None
    found = _RATE.fullmatch(asked)
    if found is None:
        raise _no_rate(text, "is no rate")
    if not Fraction(found["number"]):
        return None
    rate = _bytes(found)
    if rate == 0:
        raise _no_rate(text, "is less than one byte a second")
    return rate


def _bytes(found: re.Match[str]) -> int:
    power = _POWERS.index((found["power"] or "").lower())
    return int(Fraction(found["number"]) * (1024 if found["binary"] else 1000) ** power)


def _no_rate(text: str, why: str) -> UserError:
    shown = repr(text if len(text) <= 40 else text[:39] + "…")
    return UserError(Code.USAGE, f"{shown} {why}", hint=RATE_HINT)
