"""Make a lock out of what is asked for and what Civitai shows. Asks, but never by itself.

`resolve` is a generator: it yields questions, is sent their answers, and returns a
`Resolution`. An entry that is locked already as its request says is not asked about, one
whose request changed keeps its version where that still fits, and nothing is moved to a
newer version unless `upgrade` says so.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, SafetyError, UserError
from civsync.core.limits import SEARCH_MODELS
from civsync.core.lock import Lock, LockedEntry, LockedFile, Waiting, sort_key
from civsync.core.request import ById, Entry
from civsync.core.wording import describe_request
from civsync.decide.admission import admission
from civsync.decide.case import Case, make_case, many_for, narrow, versions_for
from civsync.decide.lookup import Asking, Catalog, look_up
from civsync.decide.notes import Note
from civsync.decide.owners import Linked, find_owners
from civsync.decide.policy import check_file, check_version, enforce
from civsync.decide.record import files_of, record_file
from civsync.decide.searching import Hits, follow
from civsync.decide.select import choose_files
from civsync.decide.versions import ranked_versions


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
    entries: Sequence[Entry],
    previous: Lock,
    *,
    now: datetime,
    upgrade: Callable[[Entry], bool] = never,
) -> Asking[Resolution]:
    """Return what `entries` lead to `now`, given what the `previous` lock holds.

    Failures of entries are values of the result; what the source raises for want of an
    answer goes through to the caller.
    """
    resolution, _ = yield from resolve_and_show(entries, previous, now=now, upgrade=upgrade)
    return resolution


def resolve_and_show(
    entries: Sequence[Entry], previous: Lock, *, now: datetime, upgrade: Callable[[Entry], bool]
) -> Asking[tuple[Resolution, Catalog]]:
    """Return what `resolve` does, and all that was shown on the way."""
    before = {locked.key: locked for locked in previous.entries}
    files = files_of(previous)
    cases = [
        make_case(
            entry,
            before.get(entry.key),
            files,
            admission(entry.request, now),
            fresh=entry.hold is None and upgrade(entry),
        )
        for entry in sorted(entries, key=lambda entry: sort_key(entry.key))
    ]
    asking = [case for case in cases if not case.settled]
    catalog = Catalog()
    searches = {case.entry.key: case.request.search for case in asking if case.request.search}
    hits = yield from follow(searches, catalog)
    yield from look_up([case.target for case in asking if not case.is_search], catalog)
    outcomes = [_outcome(case, catalog, hits.get(case.entry.key)) for case in cases]
    owners = yield from find_owners([link for outcome in outcomes for link in outcome.linked])
    return _summary([_with_owners(outcome, owners) for outcome in outcomes]), catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    """What became of one entry so far."""

    case: Case
    locked: LockedEntry | None
    failure: CivsyncError | None = None
    notes: tuple[Note, ...] = ()
    linked: tuple[Linked, ...] = ()


def _outcome(case: Case, catalog: Catalog, hits: Hits | None) -> _Outcome:
    if case.settled and case.before is not None:
        return _Outcome(case=case, locked=case.before)
    try:
        if hits is not None:
            return _lock_hits(case, catalog, hits)
        return _lock_many(case, catalog) if case.takes_many else _lock(case, catalog)
    except CivsyncError as error:
        error.subject = error.subject or case.entry.key
        error.place = error.place or case.entry.place
        return _kept(case, catalog, error)


def _kept(case: Case, catalog: Catalog, error: CivsyncError) -> _Outcome:
    """Keep what the lock has of an entry that could not be locked anew.

    Not to be found in one run proves nothing, and neither does it harm an upgrade that what
    is newer must not be locked: both are told, and are no failures.
    """
    before = case.before
    if before is None:
        return _Outcome(case=case, locked=None, failure=error)
    unseen = error.code in (Code.UNKNOWN_MODEL, Code.UNKNOWN_VERSION)
    unserved = isinstance(error, RegistryError | UserError)
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


def _lock_hits(case: Case, catalog: Catalog, hits: Hits) -> _Outcome:
    """Lock what a search found. Hits that must not be locked are left out, and told.

    Raises UserError unknown-creator, SafetyError search-empty, IntegrityError.
    """
    search = case.request.search
    if search is not None and not hits.known:
        raise UserError(
            Code.UNKNOWN_CREATOR, f"Civitai knows no creator called {search.username!r}"
        )
    if not hits.models:
        raise SafetyError(Code.SEARCH_EMPTY, "the search finds nothing")
    files = case.before.files if case.before is not None else ()
    by_model: dict[int, list[LockedFile]] = defaultdict(list)
    for file in files:
        by_model[file.model_id].append(file)
    parts: list[_Outcome] = []
    for model in hits.models:
        request = replace(case.request, model_id=model.id)
        part = narrow(case, request, by_model[model.id])
        parts.append(_part(part, catalog))
    notes: list[Note] = []
    if hits.more and search is not None and search.limit == SEARCH_MODELS:
        text = f"the search finds more than {search.limit} models; `limit` says how many to take"
        notes.append(Note(code="search-cut", entry=case.entry.key, message=text))
    return _united(case, parts, notes)


def _lock_many(case: Case, catalog: Catalog) -> _Outcome:
    """Lock several versions of one model; those that must not be locked are left out, and told.

    Raises as `_lock`, where nothing is left.
    """
    files = case.before.files if case.before is not None else ()
    parts: list[_Outcome] = []
    for model, version in many_for(case, catalog):
        request = replace(case.request, model_id=model.id, version=ById(version.id))
        own = [file for file in files if file.version_id == version.id]
        parts.append(_part(narrow(case, request, own), catalog))
    return _united(case, parts, [], waiting=_waiting(case, catalog.model(model.id), None))


def _part(case: Case, catalog: Catalog) -> _Outcome:
    """Lock one of many; what cannot be locked is a failure of this part alone."""
    try:
        return _lock_many(case, catalog) if case.takes_many else _lock(case, catalog)
    except (UserError, RegistryError) as error:
        if case.before is not None and case.satisfied:
            return _kept(case, catalog, error)
        return _Outcome(case=case, locked=None, failure=error)


def _united(
    case: Case,
    parts: Sequence[_Outcome],
    notes: Sequence[Note],
    *,
    waiting: tuple[Waiting, ...] = (),
) -> _Outcome:
    """Put what was locked of many into one entry. Raises the first failure if nothing was."""
    locked = [part.locked for part in parts if part.locked is not None]
    failures = [part.failure for part in parts if part.failure is not None]
    if not locked and failures:
        raise failures[0]
    key = case.entry.key
    told = [
        Note(code="left-out", entry=key, message=f"{error.message}; it is left out")
        for error in failures
    ]
    waits = {each.version_id: each for entry in locked for each in entry.waiting}
    waits |= {each.version_id: each for each in waiting}
    files = {(file.version_id, file.file_id): file for entry in locked for file in entry.files}
    return _Outcome(
        case=case,
        locked=LockedEntry(
            key=key,
            request=describe_request(case.request),
            waiting=tuple(waits[number] for number in sorted(waits)),
            files=tuple(files[ids] for ids in sorted(files)),
        ),
        notes=(*notes, *(note for part in parts for note in part.notes), *told),
        linked=tuple(link for part in parts for link in part.linked),
    )


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
    return _Outcome(
        case=case,
        locked=LockedEntry(
            key=case.entry.key,
            request=describe_request(request),
            waiting=_waiting(case, model, version),
            files=tuple(files),
        ),
        notes=tuple(Note(code=code, entry=case.entry.key, message=text) for code, text in remarks),
        linked=tuple(linked),
    )


def _waiting(
    case: Case, model: RemoteModel | None, chosen: RemoteVersion | None
) -> tuple[Waiting, ...]:
    """Return the versions that would come before the `chosen` one if they were free today."""
    if model is None or not model.whole:
        return ()
    ranked = ranked_versions(model, case.request)
    before = ranked[: ranked.index(chosen)] if chosen in ranked else ranked
    found = case.admission.waiting(before)
    return tuple(
        Waiting(version_id=each.id, version=each.name, until=each.early_access_until or "")
        for each in sorted(found, key=lambda version: version.id)
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
