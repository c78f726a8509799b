"""Refuse what must not be locked: unscanned, without a hash, or not to be had at all.

Which file is the right one was decided before; here it is only allowed or refused.
"""

from civsync.core.catalog import RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.codes import Code
from civsync.core.errors import RegistryError, UserError
from civsync.core.request import Request
from civsync.decide.select import describe_file

Remark = tuple[str, str]
"""Code and message of something that a person should know."""


def check_version(version: RemoteVersion, model: RemoteModel) -> tuple[Remark, ...]:
    """Return what is remarkable about a version that can be locked.

    Early access is only remarked: its fields changed three times in three years, and the
    download route has the last word. Raises RegistryError archived or downloads-disabled,
    UserError unlockable.
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
    if version.early_access:
        until = version.early_access_until or "a date that Civitai does not say"
        remarks.append(("early-access", f"{where} is sold as early access until {until}"))
    if model.mode == "TakenDown":
        remarks.append(("taken-down", f"Civitai's moderators took the pictures of {where} down"))
    return tuple(remarks)


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
