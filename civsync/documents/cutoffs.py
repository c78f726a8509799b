"""Read `exclude_newer`: an age or a date, in one spelling for each.

No clock is asked here: what "7 days" means is decided when something is locked. Moments
without a zone are in UTC, because the same manifest means the same everywhere.
"""

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final

CUTOFF_HINT: Final = (
    "Write `7 days`, `24 hours` or `2 weeks`, a date (2026-05-01), a moment"
    " (2026-05-01T12:00:00Z), or `false` for no bound."
)

_AGE: Final = re.compile(r"(?P<count>[0-9]{1,4}) *(?P<unit>hour|day|week)s?", re.IGNORECASE)
"""At most 9,999, so that any age leads to a year that a clock knows."""

_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOMENT: Final = re.compile(
    r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ](?P<time>[0-9]{2}:[0-9]{2}(?::[0-9]{2})?)"
    r"(?:\.[0-9]{1,9})?(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2})?"
)


class CutoffError(ValueError):
    """A text that is no age and no date."""


def spell_cutoff(text: str) -> str:
    """Return the one spelling of an age or date: "1 day", "2 weeks", "2026-05-01".

    Moments become whole seconds in UTC: "2026-05-01T12:00:00Z". Raises CutoffError.
    """
    text = text.strip()
    if age := _AGE.fullmatch(text):
        count = int(age["count"])
        if count == 0:
            raise CutoffError(f"{text!r} is no age: it excludes nothing")
        return f"{count} {age['unit'].lower()}{'s' if count > 1 else ''}"
    shown = repr(text if len(text) <= 40 else text[:39] + "…")
    try:
        if _DATE.fullmatch(text):
            day = date.fromisoformat(text)
            _ = day + timedelta(days=1)  # the bound, which the last day of all has not
            return day.isoformat()
        if moment := _MOMENT.fullmatch(text):
            return _in_utc(moment)
    except (ValueError, OverflowError):
        raise CutoffError(f"{shown} is not in the calendar") from None
    raise CutoffError(f"{shown} is neither an age nor a date")


def _in_utc(moment: re.Match[str]) -> str:
    zone = (moment["zone"] or "Z").upper().replace("Z", "+00:00")
    read = datetime.fromisoformat(f"{moment['day']}T{moment['time']}{zone}")
    return read.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
