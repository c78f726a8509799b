"""Read single fields of Civitai's records: absent, null and odd values have one meaning each.

What identifies a thing (ids, names) must be right, or the record is refused; everything
else is read if it makes sense and is left out if it does not. Nothing here knows what a
model is.
"""

import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

from civsync.core.catalog import RATINGS
from civsync.core.limits import MAX_ID, NAME_CHARS

Record = Mapping[str, object]

_LARGEST_FILE: Final = 2**53
"""Bytes; above it a float is no exact count any more."""

_DIGITS: Final = re.compile(r"[0-9a-f]{6,128}\Z")
_LENGTHS: Final = {"SHA256": 64, "BLAKE3": 64}
_KIND: Final = re.compile(r"[A-Z0-9_-]{1,32}\Z")
_DATE: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d):(\d\d)(?:\.\d+)?(?:([+-])(\d\d):?(\d\d)|Z)?)?\Z",
    re.ASCII,
)
_SURROGATES: Final = re.compile("[\ud800-\udfff]")


class UnreadableRecordError(ValueError):
    """A record does not say what it is about, or has another shape than it must."""


def record(value: object, what: str) -> Record:
    """Return `value` as an object. Raises UnreadableRecordError."""
    if isinstance(value, dict):
        return value
    raise UnreadableRecordError(f"{what} is not an object")


def records(holder: Record, key: str) -> Iterator[Record]:
    """Yield the objects of the list `holder[key]`, which may be absent or null.

    Raises UnreadableRecordError for anything else that stands there.
    """
    value = holder.get(key)
    if value is None:
        return
    if not isinstance(value, list):
        raise UnreadableRecordError(f"{key} is not a list")
    for number, item in enumerate(value):
        yield record(item, f"{key}[{number}]")


def identity(holder: Record, key: str = "id") -> int:
    """Return an id. Raises UnreadableRecordError if it is none that Civitai gives out."""
    value = optional_identity(holder, key)
    if value is None:
        raise UnreadableRecordError(f"{key} is not an id")
    return value


def optional_identity(holder: Record, key: str) -> int | None:
    """Return an id, or None if there is none that makes sense."""
    value = holder.get(key)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_ID:
        return value
    return None


def name(holder: Record, key: str = "name") -> str:
    """Return a text that must be there.

    Raises UnreadableRecordError, also for one that is longer than any name.
    """
    value = holder.get(key)
    if not isinstance(value, str):
        raise UnreadableRecordError(f"{key} is not a text")
    if len(value) > NAME_CHARS:
        raise UnreadableRecordError(f"{key} has {len(value)} characters")
    return text(holder, key)


def username(holder: Record) -> str:
    """Return the name of an account; one of digits may have become a number on the way.

    Source: civitai/cli#513. Raises UnreadableRecordError.
    """
    value = holder.get("username")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return name(holder, "username")


def text(holder: Record, key: str) -> str:
    """Return a text, "" if there is none. Halves of characters become U+FFFD."""
    value = holder.get(key)
    return whole_text(value) if isinstance(value, str) else ""


def whole_text(value: str) -> str:
    """Return `value` with lone surrogates, which no file can hold, replaced."""
    return _SURROGATES.sub("\ufffd", value)


def flag(holder: Record, key: str) -> bool:
    """Return whether `holder[key]` is true; anything else is not."""
    return holder.get(key) is True


def rating_of(holder: Record, key: str = "nsfwLevel") -> str:
    """Return the most mature of RATINGS that a bit mask holds, "" where nothing is rated."""
    value = holder.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        return ""
    # Bits beyond the known ones are more mature than any of them: the table may have grown.
    return RATINGS[min(value.bit_length(), len(RATINGS)) - 1]


def size_of(holder: Record, key: str = "sizeKB") -> int | None:
    """Return the bytes that a size in KiB stands for, or None if it makes no sense."""
    value = holder.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    # Compared before it is multiplied: an integer of forty digits overflows a float.
    if not 0 < value < _LARGEST_FILE or not math.isfinite(value):
        return None
    size = round(value * 1024)
    return size if 0 < size < _LARGEST_FILE else None


def hashes_of(holder: Record, key: str = "hashes") -> dict[str, str]:
    """Return upper-case kinds to lower-case digits, sorted; what is no hash is left out."""
    value = holder.get(key)
    if not isinstance(value, dict):
        return {}
    found: dict[str, str] = {}
    for raw_kind, raw_digits in sorted(value.items()):
        kind = raw_kind.upper()
        digits = raw_digits.lower() if isinstance(raw_digits, str) else ""
        fits = len(digits) == _LENGTHS.get(kind, len(digits))
        if fits and _KIND.match(kind) and _DIGITS.match(digits):
            found[kind] = digits
    return found


def date(holder: Record, key: str) -> str | None:
    """Return a date as "2025-01-31T12:00:00Z", or None if there is none that makes sense.

    Without a zone it is UTC. Fractions of a second are cut: the endpoints disagree about
    them (one drops trailing zeros), and the same version must always have one date.
    """
    value = holder.get(key)
    return _normal_date(value) if isinstance(value, str) else None


def days_after(start: str | None, days: object) -> str | None:
    """Return the normal date `days` after the normal date `start`, or None if not to be told."""
    if start is None or isinstance(days, bool) or not isinstance(days, int) or days <= 0:
        return None
    try:
        return _spell(datetime.fromisoformat(start) + timedelta(days=days))
    except OverflowError:
        return None


def _normal_date(value: str) -> str | None:
    match = _DATE.match(value.strip())
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    sign, zone_hours, zone_minutes = match.groups()[6:]
    offset = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        return _spell(datetime(year, month, day, hour, minute, second, tzinfo=zone))
    except (ValueError, OverflowError):
        return None


def _spell(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").removesuffix("+00:00") + "Z"
