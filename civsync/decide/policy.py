"""Refuse what must not be locked: unscanned, without a hash, or not to be had at all.

Which file is the right one was decided before; here it is only allowed or refused.
"""

from civsync.core.catalog import RATINGS, RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.codes import Code
from civsync.core.errors import RegistryError, UserError
from civsync.core.lock import LockedFile
from civsync.core.request import Policy, Request
from civsync.core.values import dataclass
from civsync.decide.select import describe_file


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule, what was found instead, and what the rule wants."""

    rule: str
    found: str
    wanted: str


Remark = tuple[str, str]
"""Code and message of something that a person should know."""


def check_version(
    version: RemoteVersion, model: RemoteModel, *, early: bool = False
) -> tuple[Remark, ...]:
    """Return what is remarkable about a version that can be locked.

    That it is sold as early access (`early`) is only remarked: whether this version may be
    chosen was decided before. Raises RegistryError archived or downloads-disabled, UserError
    unlockable.
    """
    named = f'model {model.id} "{model.name}"'
    where = f'version {version.id} "{version.name}" of {named}'
    data = {"model_id": model.id, "version_id": version.id}
    if model.mode == "Archived":
        raise RegistryError(Code.ARCHIVED, f"{named} is archived", data=data)
    if version.usage_control not in (None, "", "Download"):
        raise RegistryError(
            Code.DOWNLOADS_DISABLED,
            f"the creator of {where} allows its use on Civitai only ({version.usage_control})",
            data=data,
        )
    if not version.files:
        raise UserError(Code.UNLOCKABLE, f"{where} has no files", data=data)
    remarks: list[Remark] = []
    if early:
        until = version.early_access_until or "a date that Civitai does not say"
        remarks.append(("early-access", f"{where} is sold as early access until {until}"))
    if model.mode == "TakenDown":
        remarks.append(("taken-down", f"Civitai's moderators took the pictures of {where} down"))
    return tuple(remarks)


def breaches(file: LockedFile, policy: Policy) -> tuple[Breach, ...]:
    """Return the rules of `policy` that forbid `file`, from what the lock says of it.

    Covers license, rating, size and creators; pickles and scans have errors of their own.
    What is not known counts as not allowed.
    """
    found: list[Breach] = []
    given = {word.strip() for word in file.license.split(",")}
    lacking = [word for word in policy.license if word not in given]
    if lacking:
        says = file.license or "nothing that is known"
        found.append(Breach("policy.license", f"the creator allows {says}", ", ".join(lacking)))
    if policy.rating and not _is_rated_within(file, policy.rating):
        rated = f"it is rated {file.rating}" if file.rating else "it is not rated"
        found.append(Breach("policy.nsfw", rated, policy.rating))
    if policy.max_size is not None and file.size > policy.max_size:
        found.append(
            Breach("policy.max_size", f"it has {file.size:,} bytes", f"{policy.max_size:,}")
        )
    creator = file.creator.casefold()
    allowed, denied = policy.allow_creators, policy.deny_creators
    if allowed and creator not in {name.casefold() for name in allowed}:
        found.append(Breach("policy.creators.allow", _made_by(file), ", ".join(allowed)))
    if denied and (not creator or creator in {name.casefold() for name in denied}):
        found.append(Breach("policy.creators.deny", _made_by(file), ", ".join(denied)))
    return tuple(found)


def enforce(file: LockedFile, policy: Policy) -> None:
    """Refuse a file that `policy` forbids.

    Raises UserError policy-denied, which names every rule that is broken.
    """
    found = breaches(file, policy)
    if found:
        rules = "; ".join(f"`{each.rule}: {each.wanted}` ({each.found})" for each in found)
        raise UserError(
            Code.POLICY_DENIED,
            f"file {file.file_id} {file.name} of version {file.version_id} is against {rules}",
            data={
                "file_id": file.file_id,
                "version_id": file.version_id,
                "rules": ", ".join(each.rule for each in found),
            },
        )


def _is_rated_within(file: LockedFile, limit: str) -> bool:
    if file.rating not in RATINGS or limit not in RATINGS:
        return False
    return RATINGS.index(file.rating) <= RATINGS.index(limit)


def _made_by(file: LockedFile) -> str:
    return f"it is by {file.creator}" if file.creator else "its creator is not known"


def check_file(file: RemoteFile, request: Request) -> tuple[Remark, ...]:
    """Return what is remarkable about a file that may be locked.

    `allow_unverified` also accepts scans that are still pending: a file without a hash is
    one that was not scanned yet. It accepts no scan that failed. Raises UserError:
    no-hash, scan-missing, or unlockable where the record has no size that makes sense
    (nothing could bound the download then).
    """
    named = describe_file(file)
    data = {"file_id": file.id}
    remarks: list[Remark] = []
    if file.sha256 is None:
        if not request.allow_unverified:
            raise UserError(Code.NO_HASH, f"Civitai publishes no SHA-256 for {named}", data=data)
        remarks.append(("unverified", f"Civitai publishes no SHA-256 for {named}"))
    for kind, result in (("pickle", file.pickle_scan), ("virus", file.virus_scan)):
        if result is Scan.SUCCESS:
            continue
        verdict = f'the {kind} scan of {named} says "{result.value}"'
        if kind in request.policy.scans and not (
            result is Scan.PENDING and request.allow_unverified
        ):
            raise UserError(Code.SCAN_MISSING, verdict, data={**data, "scan": result.value})
        remarks.append(("scan-waived", verdict))
    if not file.size:
        raise UserError(Code.UNLOCKABLE, f"Civitai's record of {named} has no size", data=data)
    return tuple(remarks)
