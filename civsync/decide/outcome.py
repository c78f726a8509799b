"""Lock one version for one entry, or say why not; what was locked before stays where it must.

An outcome is a value: a failure of one entry is no failure of the others.
"""

from collections.abc import Set as AbstractSet
from dataclasses import replace

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, UserError
from civsync.core.lock import LockedEntry, LockedFile, Waiting
from civsync.core.values import dataclass
from civsync.decide.case import Case, versions_for
from civsync.decide.lookup import Catalog
from civsync.decide.notes import Note
from civsync.decide.owners import Linked
from civsync.decide.policy import check_file, check_version, enforce
from civsync.decide.record import record_file
from civsync.decide.select import choose_files
from civsync.decide.versions import most_versions, ranked_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one entry so far."""

    case: Case
    locked: LockedEntry | None
    failure: CivsyncError | None = None
    notes: tuple[Note, ...] = ()
    linked: tuple[Linked, ...] = ()


def keep(case: Case, catalog: Catalog, error: CivsyncError) -> Outcome:
    """Keep what the lock has of an entry that could not be locked anew.

    Not to be found in one run proves nothing, and neither does it harm an upgrade that what
    is newer must not be locked: both are told, and are no failures.
    """
    before = case.before
    if before is None:
        return Outcome(case=case, locked=None, failure=error)
    unseen = error.code in (Code.UNKNOWN_MODEL, Code.UNKNOWN_VERSION)
    unserved = isinstance(error, RegistryError | UserError)
    if not unseen and not (unserved and case.satisfied):
        return Outcome(case=case, locked=before, failure=error)
    shown = any(catalog.version(file.version_id) for file in before.files)
    gone = case.fresh and unseen and not shown
    note = Note(
        code="gone" if gone else "kept",
        entry=case.entry.key,
        message=f"{error.message}; the locked files stay as they are",
    )
    model = catalog.model(case.request.model_id or 0)
    waiting = before.waiting
    if model is not None and case.satisfied:
        waiting = waiting_for(case, model, {file.version_id for file in before.files})
    locked = replace(before, gone=before.gone or gone, waiting=waiting)
    return Outcome(case=case, locked=locked, notes=(note,))


def lock_one(case: Case, catalog: Catalog) -> Outcome:
    """Lock the first of the versions in question that can be.

    An alarm about changed content is no reason to look at another version. That an upgrade
    could not move is told.
    """
    first, *others = versions_for(case, catalog)
    notes: list[Note] = []
    for model, version in others:
        try:
            return _lock_version(case, *first)
        except UserError as error:
            if case.fresh:
                text = f'{error.message}; version {version.id} "{version.name}" stays'
                notes.append(Note(code="kept", entry=case.entry.key, message=text))
            first = model, version
    outcome = _lock_version(case, *first)
    return replace(outcome, notes=(*outcome.notes, *notes))


def _lock_version(case: Case, model: RemoteModel, version: RemoteVersion) -> Outcome:
    request = case.request
    remarks = list(check_version(version, model, early=case.admission.is_early(version)))
    selection = choose_files(version, model, request)
    remarks.extend(selection.remarks)
    # Who chooses files by name means the names of today.
    named = any(selector.name for selector in request.selectors)
    files: list[LockedFile] = []
    linked: list[Linked] = []
    for file in selection.files:
        remarks.extend(check_file(file, request))
        locked, more = record_file(file, version, model, case.known, fresh=case.fresh or named)
        enforce(locked, request.policy)
        remarks.extend(more)
        files.append(locked)
        if file.linked:
            linked.append(Linked(file_id=file.id, sha256=locked.sha256, host=version))
    return Outcome(
        case=case,
        locked=LockedEntry(
            key=case.entry.key,
            request=case.facts,
            waiting=waiting_for(case, model, {version.id}),
            files=tuple(files),
        ),
        notes=tuple(Note(code=code, entry=case.entry.key, message=text) for code, text in remarks),
        linked=tuple(linked),
    )


def waiting_for(case: Case, model: RemoteModel, chosen: AbstractSet[int]) -> tuple[Waiting, ...]:
    """Return the versions that would be among the `chosen` ones (ids) if they were free today."""
    if not model.whole:
        return ()
    ranked = ranked_versions(model, case.request)
    places = [place for place, version in enumerate(ranked) if version.id in chosen]
    most = most_versions(case.request)
    full = most is not None and len(places) >= most
    found = case.admission.waiting(ranked[: places[-1]] if full else ranked)
    return tuple(
        Waiting(version_id=each.id, version=each.name, until=each.early_access_until or "")
        for each in sorted(found, key=lambda version: version.id)
    )
