"""Decide whether to try again, and after how long.

Pure: chance (`jitter`) and the number of the try are passed in, and no clock is read, so
a machine whose clock is ten years off waits as long as any other.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, WireError
from civsync.core.limits import API_ATTEMPTS, BACKOFF_CAP_S, BACKOFF_FIRST_S, RETRY_AFTER_CAP_S
from civsync.core.values import dataclass

_SECONDS: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?\Z")
_MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"
_DATE: Final = re.compile(
    r"[A-Z][a-z]{2}, (\d\d) ([A-Z][a-z]{2}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT\Z", re.ASCII
)
_LONGEST_S: Final = 1e9
"""Thirty years; keeps absurd numbers finite, and they stay above every cap."""

_DOUBLINGS: Final = 30
"""More doublings change nothing below the cap, and would overflow a float one day."""

_OF_THE_HOST: Final = frozenset({Code.RATE_LIMITED, Code.EDGE_REFUSED})
_BUSY: Final = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """Try again after `delay` seconds. If `shared`, every request to the host waits so long."""

    delay: float
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """Do not try again in this run; `error` is what to raise.

    If `shared`, the host may mean every request to it.
    """

    error: CivsyncError
    shared: bool = False


Decision = Again | GiveUp


def backoff(attempt: int, jitter: float) -> float:
    """Return the pause in seconds after the failure of try number `attempt` (from 1).

    Doubles from BACKOFF_FIRST_S up to BACKOFF_CAP_S; `jitter` in [0, 1) moves it between
    half of that and the whole, so that many clients do not come back at one moment.
    """
    whole = min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2.0 ** min(attempt - 1, _DOUBLINGS))
    return whole / 2 + whole / 2 * jitter


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return how many seconds a reply asks to wait, or None if it does not say.

    `headers` have lower-case names. A date is read against the reply's own Date header,
    never against the local clock; without one it says nothing. A time that is past is 0.
    Source: RFC 9110 section 10.2.3.
    """
    text = headers.get("retry-after", "").strip()
    if _SECONDS.match(text):
        return _within(float(text))
    until, now = _http_date(text), _http_date(headers.get("date", ""))
    if until is None or now is None:
        return None
    return _within((until - now).total_seconds())


def decide(
    error: CivsyncError, attempt: int, jitter: float, *, attempts: int = API_ATTEMPTS
) -> Decision:
    """Say what follows the failure of try number `attempt` (from 1) of at most `attempts`.

    A server that asks for a longer pause than RETRY_AFTER_CAP_S is believed: the error is
    given up with the time in its message, since a person can wait better than a program.
    """
    asked = error.retry_after if isinstance(error, WireError) else None
    if asked is not None and asked > RETRY_AFTER_CAP_S:
        return GiveUp(error=_with_time(error, asked), shared=True)
    if not error.retry or attempt >= attempts:
        return GiveUp(error=error)
    delay = max(backoff(attempt, jitter), asked or 0.0)
    return Again(delay=delay, shared=asked is not None or _is_of_the_host(error))


def spell_seconds(seconds: float) -> str:
    """Return a time span as people say it: "45 s", "12 min", "3 h"."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def _is_of_the_host(error: CivsyncError) -> bool:
    """Tell a host that wants fewer requests from a request that went wrong."""
    return error.code in _OF_THE_HOST or error.data.get("status") == _BUSY


def _with_time(error: CivsyncError, seconds: float) -> CivsyncError:
    if "retry_after" in error.data:
        return error  # it was decided on before, and says the time already
    return WireError(
        error.code,
        f"{error.message}; the server asks for a pause of {spell_seconds(seconds)}",
        subject=error.subject,
        hint=f"Run the same command again in {spell_seconds(seconds)}; what was received is kept.",
        data={**error.data, "retry_after": seconds},
        retry_after=seconds,
    )


def _within(seconds: float) -> float:
    return min(max(seconds, 0.0), _LONGEST_S)


def _http_date(text: str) -> datetime | None:
    """Read the one form of date that servers may send (RFC 9110 section 5.6.7)."""
    match = _DATE.match(text.strip())
    if match is None:
        return None
    month, odd = divmod(_MONTHS.find(match[2]), 3)
    if odd:
        return None
    day, year, hour, minute, second = (int(match[number]) for number in (1, 3, 4, 5, 6))
    try:
        return datetime(year, month + 1, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
