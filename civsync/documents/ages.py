"""Read an age as people write it on a command line: "30d", "12h", "2 weeks"."""

import re
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import UserError

AGE_HINT: Final = "Write hours, days or weeks, such as `12h`, `30d` or `2w`."

_AGE: Final = re.compile(
    r"(?P<count>[0-9]{1,5}) *(?P<unit>h|d|w|hours?|days?|weeks?)", re.IGNORECASE
)
_SECONDS: Final = {"h": 3600, "d": 24 * 3600, "w": 7 * 24 * 3600}


def parse_age(text: str) -> int:
    """Return the seconds that `text` means. Raises UserError usage."""
    found = _AGE.fullmatch(text.strip())
    if found is None:
        shown = repr(text if len(text) <= 40 else text[:39] + "…")
        raise UserError(Code.USAGE, f"{shown} is no age", hint=AGE_HINT)
    return int(found["count"]) * _SECONDS[found["unit"][0].lower()]
