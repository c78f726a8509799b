"""Decide which versions may be chosen today: not too young, and not sold as early access.

The day comes from the caller; no clock is asked. Whatever has no date counts as too young,
because a bound that lets the unknown through is none.
"""

import re
from collections.abc import Iterable
from dataclasses import field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from civsync.core.catalog import RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, UserError
from civsync.core.request import EarlyAccess, Request
from civsync.core.values import dataclass

_AGE: Final = re.compile(r"(\d+) (hour|day|week)s?")
_UNKNOWN: Final = "a date that Civitai does not say"


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What may be chosen `now`: `until` is the bound that `exclude_newer` sets, if any.

    `text` is the bound as the manifest says it. `open_doors` admits everything, to see what
    there would be.
    """

    now: datetime
    until: datetime | None = None
    text: str = ""
    early_access: EarlyAccess = EarlyAccess.DEFER
    open_doors: bool = field(default=False, kw_only=True)

    def admits(self, version: RemoteVersion) -> bool:
        """Tell whether `version` may be chosen where there is a choice."""
        return self.open_doors or not (
            self.is_young(version)
            or (self.early_access is not EarlyAccess.ALLOW and self.is_early(version))
        )

    def is_young(self, version: RemoteVersion) -> bool:
        """Tell whether `version` was published after the bound, or nobody knows when."""
        if self.until is None:
            return False
        published = moment_of(version.published_at)
        return published is None or published >= self.until

    def comes_of_age(self, version: RemoteVersion) -> datetime | None:
        """Return from when on a young `version` may be chosen; None where time does not help.

        A bound that is a date stays where it is, and what has no date stays too young.
        """
        published = moment_of(version.published_at)
        if self.until is None or published is None or not is_age(self.text):
            return None
        return published + (self.now - self.until)

    def is_early(self, version: RemoteVersion) -> bool:
        """Tell whether `version` is sold as early access and not free yet."""
        ends = moment_of(version.early_access_until)
        return ends > self.now if ends is not None else version.early_access

    def refusal(self, version: RemoteVersion) -> CivsyncError | None:
        """Return why `version`, which is named or the only one, must not be locked."""
        if self.admits(version):
            return None
        named = f'version {version.id} "{version.name}"'
        data = {"version_id": version.id}
        if self.is_young(version):
            when = version.published_at or _UNKNOWN
            return UserError(
                Code.TOO_NEW,
                f"{named} was published on {when}, and `exclude_newer` says {self.text}",
                data=data,
            )
        until = version.early_access_until or _UNKNOWN
        return RegistryError(
            Code.EARLY_ACCESS,
            f"{named} is sold as early access until {until}",
            hint="Wait for the date, name another version, or set `policy.early_access: allow`"
            " if you bought it.",
            data={**data, "deadline": version.early_access_until},
        )

    def sold(self, meant: Iterable[RemoteVersion]) -> RemoteVersion | None:
        """Return which of the `meant` versions makes the entry fail, because it is not free."""
        if self.open_doors or self.early_access is not EarlyAccess.FAIL:
            return None
        return next((version for version in meant if self.is_early(version)), None)

    def waiting(self, versions: Iterable[RemoteVersion]) -> tuple[RemoteVersion, ...]:
        """Return those of `versions` that nothing but early access bars."""
        if self.open_doors or self.early_access is EarlyAccess.ALLOW:
            return ()
        return tuple(v for v in versions if self.is_early(v) and not self.is_young(v))


def admission(request: Request, now: datetime) -> Admission:
    """Return what `request` lets in on the day `now`."""
    return Admission(
        now=now,
        until=bound_of(request.exclude_newer, now),
        text=request.exclude_newer,
        early_access=request.policy.early_access,
    )


def bound_of(text: str, now: datetime) -> datetime | None:
    """Return the moment before which something must have been published; "" sets none.

    `text` is as a manifest's reader spells it: "7 days", "2026-05-01" (that day is still
    in), "2026-05-01T12:00:00Z". Raises ValueError for any other text.
    """
    if not text:
        return None
    if age := _AGE.fullmatch(text):
        return now - int(age[1]) * timedelta(**{f"{age[2]}s": 1})
    if len(text) == len("2026-05-01"):
        day = datetime.combine(date.fromisoformat(text), time(), UTC)
        return day + timedelta(days=1)
    moment = moment_of(text)
    if moment is None:
        raise ValueError(f"{text!r} is no age and no date")
    return moment


def is_age(bound: str) -> bool:
    """Tell whether a bound is an age, which means another moment every day."""
    return _AGE.fullmatch(bound) is not None


def is_after(published_at: str, bound: str) -> bool:
    """Tell whether something came after the date that `bound` names; no date is after all."""
    until = bound_of(bound, datetime.max.replace(tzinfo=UTC))
    published = moment_of(published_at)
    return until is not None and (published is None or published >= until)


def moment_of(text: str | None) -> datetime | None:
    """Return the moment that an ISO 8601 text names, in UTC where it says no zone."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
