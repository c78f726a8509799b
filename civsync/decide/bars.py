"""Say why one version cannot be locked today: too young, still sold, or refused.

It is tried as the resolver would try it, with the doors open for what only waits.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, IntegrityError
from civsync.core.lock import LockedEntry, LockedFile
from civsync.core.request import ById, Entry
from civsync.core.values import dataclass
from civsync.decide.admission import Admission, admission
from civsync.decide.case import Case, make_case, narrow
from civsync.decide.lookup import Catalog
from civsync.decide.outcome import lock_one
from civsync.decide.standing import Reason, Why, facts_of

_RULES: Final = {
    Code.PICKLE_DENIED: "policy.pickle",
    Code.SCAN_MISSING: "policy.scans",
    Code.NO_HASH: "allow_unverified",
}
"""Keys of the manifest behind refusals that name no rule themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """What may keep versions from one entry.

    `case` has open doors: it tells what could be locked if neither age nor early access
    mattered; `admission` tells what they let in today.
    """

    case: Case
    admission: Admission
    catalog: Catalog

    def reason(self, model: RemoteModel, version: RemoteVersion) -> Reason | None:
        """Return why this version cannot be locked today, None if it can."""
        if self.admission.is_young(version):
            day = self.admission.comes_of_age(version)
            return reason_of(
                Why.TOO_NEW,
                model,
                version,
                text=self.admission.text,
                rule="exclude_newer",
                allowed_from="" if day is None else _in_utc(day),
            )
        if not self.admission.admits(version):
            until = version.early_access_until or ""
            return reason_of(
                Why.EARLY_ACCESS, model, version, rule="policy.early_access", allowed_from=until
            )
        error = self._refusal(model, version)
        return None if error is None else _refused(error, model, version)

    def _refusal(self, model: RemoteModel, version: RemoteVersion) -> CivsyncError | None:
        request = replace(self.case.request, model_id=model.id, version=ById(version.id))
        before = self.case.before
        own = [f for f in before.files if f.version_id == version.id] if before is not None else ()
        try:
            lock_one(narrow(self.case, request, own), self.catalog)
        except CivsyncError as error:
            return error
        return None


def make_bars(
    entry: Entry,
    before: LockedEntry | None,
    files: Mapping[int, LockedFile],
    catalog: Catalog,
    *,
    now: datetime,
) -> Bars:
    """Return what may bar versions from `entry`; `files` are those of the whole lock."""
    today = admission(entry.request, now)
    case = make_case(
        replace(entry, hold=None), before, files, replace(today, open_doors=True), fresh=True
    )
    return Bars(case=case, admission=today, catalog=catalog)


def reason_of(
    why: Why,
    model: RemoteModel,
    version: RemoteVersion,
    *,
    text: str = "",
    rule: str = "",
    allowed_from: str = "",
) -> Reason:
    """Return a reason about a version that Civitai shows."""
    return Reason(
        why=why,
        model_id=model.id,
        version=facts_of(model, version),
        text=text,
        rule=rule,
        allowed_from=allowed_from,
    )


def _in_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def _refused(error: CivsyncError, model: RemoteModel, version: RemoteVersion) -> Reason:
    if isinstance(error, IntegrityError):
        return reason_of(Why.FAILED, model, version, text=error.message)
    if error.code is Code.ARCHIVED:
        return Reason(why=Why.ARCHIVED, model_id=model.id)
    rule = str(error.data.get("rules") or _RULES.get(error.code, ""))
    why = Why.POLICY if rule else Why.UNLOCKABLE
    return reason_of(why, model, version, text=error.message, rule=rule)
