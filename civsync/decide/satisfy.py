"""Tell whether what is locked is what a request asks for, without asking anybody."""

from collections.abc import Iterable, Mapping, Sequence

from civsync.core.catalog import RemoteFile, Scan
from civsync.core.lock import LockedEntry, LockedFile
from civsync.core.request import ById, ByName, Request
from civsync.core.wording import describe_request
from civsync.decide.admission import is_after, is_age
from civsync.decide.kinds import is_pickle
from civsync.decide.policy import breaches
from civsync.decide.select import matches
from civsync.decide.versions import families_of, same_name

Difference = tuple[str, str, str]
"""A key, the value that the lock has, and the value that is wanted; "" for absent."""


def differing_keys(request: Request, locked: LockedEntry) -> tuple[Difference, ...]:
    """Return the keys of the request that changed since `locked` was made."""
    return differing_facts(describe_request(request), locked)


def differing_facts(wanted: Mapping[str, str], locked: LockedEntry) -> tuple[Difference, ...]:
    """Return what `differing_keys` does for a request that was put into words already."""
    if wanted == locked.request:
        return ()
    return tuple(
        (key, locked.request.get(key, ""), wanted.get(key, ""))
        for key in sorted(wanted.keys() | locked.request.keys())
        if locked.request.get(key) != wanted.get(key)
    )


def shortfalls(request: Request, locked: LockedEntry) -> tuple[Difference, ...]:
    """Return where the locked files fall short of `request`, whatever the lock says of itself.

    A lock that civsync made has none; one that was edited by hand or merged may.
    """
    found: list[Difference] = []
    required = [each for each in request.selectors if not each.optional]
    if not locked.files and (required or not request.selectors):
        found.append(("files", "none", "at least one"))
    for files in _by_version(locked.files) if required else ():
        found.extend(
            ("files", "no such file", selector.type or selector.name or "any")
            for selector in required
            if not any(matches(selector, file) for file in files)
        )
    found.extend(version_shortfalls(request, locked))
    for file in locked.files:
        found.extend(_file_shortfalls(request, file))
    return tuple(found)


def version_shortfalls(request: Request, locked: LockedEntry) -> list[Difference]:
    """Return where the locked versions are others than `request` may lead to."""
    found: list[Difference] = []
    wanted = request.version
    for file in locked.files:
        if request.model_id not in (None, file.model_id):
            found.append(("model", str(file.model_id), str(request.model_id)))
        if isinstance(wanted, ById) and wanted.id != file.version_id:
            found.append(("version", str(file.version_id), str(wanted.id)))
        if isinstance(wanted, ByName) and not same_name(wanted.name, file.version):
            found.append(("version", file.version, wanted.name))
        families = families_of(request)
        if families and not any(same_name(each, file.base_model) for each in families):
            found.append(("base_model", file.base_model, " or ".join(families)))
    return found


def _file_shortfalls(request: Request, file: LockedFile) -> list[Difference]:
    found: list[Difference] = [
        (each.rule, f"{file.file_id} {file.name}: {each.found}", each.wanted)
        for each in breaches(file, request.policy)
    ]
    bound = request.exclude_newer
    # An age is measured when something is locked, and never again; a date can be checked.
    if bound and not is_age(bound) and is_after(file.published_at, bound):
        found.append(("exclude_newer", file.published_at, bound))
    if not file.sha256:
        found.append(("sha256", "", f"the hash of file {file.file_id}"))
    if not request.policy.allow_pickle and is_pickle(file.name, file.format):
        found.append(("policy.pickle", f"{file.file_id} {file.name}", "deny"))
    for kind in request.policy.scans:
        result = file.scan(kind) or Scan.PENDING.value
        waived = request.allow_unverified and result == Scan.PENDING.value
        if result != Scan.SUCCESS.value and not waived:
            found.append(("policy.scans", f"{kind}: {result}", f"{kind}: {Scan.SUCCESS.value}"))
    return found


def _by_version(files: Iterable[LockedFile]) -> Iterable[Sequence[RemoteFile]]:
    """Return the files of each version, as selectors see them, in the order of the lock."""
    found: dict[int, list[RemoteFile]] = {}
    for file in files:
        found.setdefault(file.version_id, []).append(_facts(file))
    return found.values()


def _facts(file: LockedFile) -> RemoteFile:
    """Return `file` as selectors see it."""
    return RemoteFile(
        id=file.file_id,
        name=file.name,
        type=file.type,
        size=file.size,
        format=file.format,
        precision=file.precision,
        quant=file.quant,
        size_class=file.size_class,
    )
