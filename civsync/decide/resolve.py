"""Make a lock out of what is asked for and what Civitai shows. Asks, but never by itself.

`resolve` is a generator: it yields questions, is sent their answers, and returns a
`Resolution`. An entry that is locked already as its request says is not asked about, one
whose request changed keeps its version where that still fits, and nothing is moved to a
newer version unless `upgrade` says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, UserError
from civsync.core.lock import Lock, LockedEntry, LockedFile, sort_key
from civsync.core.request import Entry
from civsync.core.wording import describe_request
from civsync.decide.case import Case, make_case, versions_for
from civsync.decide.lookup import Asking, Catalog, look_up
from civsync.decide.notes import Note
from civsync.decide.owners import Linked, find_owners
from civsync.decide.policy import check_file, check_version
from civsync.decide.record import files_of, record_file
from civsync.decide.select import choose_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What every entry led to; `entries` and the rest are in the order of their keys.

    An entry that failed is in `failures`, and in `entries` too if the lock had it: a
    failure never takes files away. Paths of files that were looked up are provisional,
    until `place` makes the real ones.
    """

    entries: tuple[LockedEntry, ...] = ()
    failures: tuple[tuple[Entry, CivsyncError], ...] = ()
    notes: tuple[Note, ...] = ()


def never(_entry: Entry) -> bool:
    """Upgrade nothing."""
    return False


def resolve(
    entries: Sequence[Entry], previous: Lock, *, upgrade: Callable[[Entry], bool] = never
) -> Asking[Resolution]:
    """Return what `entries` lead to, given what the `previous` lock holds.

    Failures of entries are values of the result; what the source raises for want of an
    answer goes through to the caller.
    """
    before = {locked.key: locked for locked in previous.entries}
    files = files_of(previous)
    cases = [
        make_case(entry, before.get(entry.key), files, fresh=entry.hold is None and upgrade(entry))
        for entry in sorted(entries, key=lambda entry: sort_key(entry.key))
    ]
    targets = [case.target for case in cases if not case.settled]
    catalog = yield from look_up(targets)
    outcomes = [_outcome(case, catalog) for case in cases]
    owners = yield from find_owners([link for outcome in outcomes for link in outcome.linked])
    return _summary([_with_owners(outcome, owners) for outcome in outcomes])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What became of one entry so far."""

    case: Case
    locked: LockedEntry | None
    failure: CivsyncError | None = None
    notes: tuple[Note, ...] = ()
    linked: tuple[Linked, ...] = ()


def _outcome(case: Case, catalog: Catalog) -> _Outcome:
    if case.settled and case.before is not None:
        return _Outcome(case=case, locked=replace(case.before, priority=case.entry.priority))
    try:
        return _lock(case, catalog)
    except CivsyncError as error:
        error.subject = error.subject or case.entry.key
        error.place = error.place or case.entry.place
        return _kept(case, catalog, error)


def _kept(case: Case, catalog: Catalog, error: CivsyncError) -> _Outcome:
    """Keep what the lock has of an entry that could not be locked anew.

    Not to be found in one run proves nothing, and neither does it harm an upgrade that a
    creator archived what is locked: both are told, and are no failures.
    """
    before = case.before
    if before is None:
        return _Outcome(case=case, locked=None, failure=error)
    unseen = error.code in (Code.UNKNOWN_MODEL, Code.UNKNOWN_VERSION)
    unserved = isinstance(error, RegistryError) or error.code is Code.UNLOCKABLE
    if not unseen and not (unserved and case.satisfied):
        return _Outcome(case=case, locked=before, failure=error)
    shown = any(catalog.version(file.version_id) for file in before.files)
    gone = case.fresh and unseen and not shown
    note = Note(
        code="gone" if gone else "kept",
        entry=case.entry.key,
        message=f"{error.message}; the locked files stay as they are",
    )
    return _Outcome(case=case, locked=replace(before, gone=before.gone or gone), notes=(note,))


def _lock(case: Case, catalog: Catalog) -> _Outcome:
    """Lock the first of the versions in question that can be.

    An alarm about changed content is no reason to look at another version.
    """
    first, *others = versions_for(case, catalog)
    for other in others:
        try:
            return _lock_version(case, *first)
        except UserError:
            first = other
    return _lock_version(case, *first)


def _lock_version(case: Case, model: RemoteModel, version: RemoteVersion) -> _Outcome:
    request = case.entry.request
    remarks = list(check_version(version, model))
    selection = choose_files(version, model, request)
    remarks.extend(selection.remarks)
    # Who chooses files by name means the names of today.
    named = any(selector.name for selector in request.selectors)
    files: list[LockedFile] = []
    linked: list[Linked] = []
    for file in selection.files:
        remarks.extend(check_file(file, request))
        locked, more = record_file(file, version, model, case.known, fresh=case.fresh or named)
        remarks.extend(more)
        files.append(locked)
        if file.linked:
            linked.append(Linked(file_id=file.id, sha256=locked.sha256, host=version))
    return _Outcome(
        case=case,
        locked=LockedEntry(
            key=case.entry.key,
            request=describe_request(request),
            files=tuple(files),
            priority=case.entry.priority,
        ),
        notes=tuple(Note(code=code, entry=case.entry.key, message=text) for code, text in remarks),
        linked=tuple(linked),
    )


def _with_owners(outcome: _Outcome, owners: Mapping[tuple[int, int], int]) -> _Outcome:
    """Enter the owners of linked files; an owner that is not known today stays as locked."""
    if outcome.locked is None or not outcome.linked:
        return outcome
    hosts = {link.file_id: link.host.id for link in outcome.linked}
    files: list[LockedFile] = []
    notes = list(outcome.notes)
    for file in outcome.locked.files:
        host = hosts.get(file.file_id)
        owner = None if host is None else owners.get((host, file.file_id))
        if owner is not None:
            files.append(replace(file, owner_version_id=None if owner == host else owner))
            continue
        if host is not None and file.owner_version_id is None:
            text = f"file {file.file_id} {file.name} may belong to another version, not to be found"
            notes.append(Note(code="owner-unknown", entry=outcome.case.entry.key, message=text))
        files.append(file)
    return replace(outcome, locked=replace(outcome.locked, files=tuple(files)), notes=tuple(notes))


def _summary(outcomes: Sequence[_Outcome]) -> Resolution:
    return Resolution(
        entries=tuple(outcome.locked for outcome in outcomes if outcome.locked is not None),
        failures=tuple(
            (outcome.case.entry, outcome.failure)
            for outcome in outcomes
            if outcome.failure is not None
        ),
        notes=tuple(note for outcome in outcomes for note in outcome.notes),
    )
