"""Make a lock out of what is asked for and what Civitai shows. Asks, but never by itself.

`resolve` is a generator: it yields questions, is sent their answers, and returns a
`Resolution`. An entry that is locked already as its request says is not asked about, one
whose request changed keeps its version where that still fits, and nothing is moved to a
newer version unless `upgrade` says so.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from civsync.core.errors import CivsyncError
from civsync.core.lock import Lock, LockedEntry, LockedFile, sort_key
from civsync.core.request import Entry
from civsync.core.values import dataclass
from civsync.decide.admission import admission
from civsync.decide.case import Case, make_case
from civsync.decide.lookup import Asking, Catalog, look_up
from civsync.decide.notes import Note
from civsync.decide.outcome import Outcome, keep, lock_one
from civsync.decide.owners import find_owners
from civsync.decide.record import files_of
from civsync.decide.searching import Hits, follow
from civsync.decide.several import lock_found, lock_hits, lock_many


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
    resolution, _, _ = yield from resolve_and_show(entries, previous, now=now, upgrade=upgrade)
    return resolution


def resolve_and_show(
    entries: Sequence[Entry], previous: Lock, *, now: datetime, upgrade: Callable[[Entry], bool]
) -> Asking[tuple[Resolution, Catalog, Mapping[str, Hits]]]:
    """Return what `resolve` does, all that was shown on the way, and what searches found by key."""
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
    searches = {
        case.entry.key: case.request.search
        for case in asking
        if case.searches_anew and case.request.search is not None
    }
    hits = yield from follow(searches, catalog)
    yield from look_up([target for case in asking for target in case.targets], catalog)
    outcomes = [_outcome(case, catalog, hits.get(case.entry.key)) for case in cases]
    owners = yield from find_owners([link for outcome in outcomes for link in outcome.linked])
    return _summary([_with_owners(outcome, owners) for outcome in outcomes]), catalog, hits


def _outcome(case: Case, catalog: Catalog, hits: Hits | None) -> Outcome:
    if case.settled and case.before is not None:
        return Outcome(case=case, locked=case.before)
    try:
        if hits is not None:
            return lock_hits(case, catalog, hits)
        if case.is_search:
            return lock_found(case, catalog)
        return lock_many(case, catalog) if case.takes_many else lock_one(case, catalog)
    except CivsyncError as error:
        error.subject = error.subject or case.entry.key
        error.place = error.place or case.entry.place
        return keep(case, catalog, error)


def _with_owners(outcome: Outcome, owners: Mapping[tuple[int, int], int]) -> Outcome:
    """Enter the owners of linked files; an owner that is not known today stays as locked."""
    if outcome.locked is None or not outcome.linked:
        return outcome
    linked = {(link.host.id, link.file_id) for link in outcome.linked}
    files: list[LockedFile] = []
    notes = list(outcome.notes)
    for file in outcome.locked.files:
        # One file may be listed by several versions, each of which is its host once.
        ids = (file.version_id, file.file_id)
        owner = owners.get(ids) if ids in linked else None
        if owner is not None:
            own = owner == file.version_id
            files.append(replace(file, owner_version_id=None if own else owner))
            continue
        if ids in linked and file.owner_version_id is None:
            text = f"file {file.file_id} {file.name} may belong to another version, not to be found"
            notes.append(Note(code="owner-unknown", entry=outcome.case.entry.key, message=text))
        files.append(file)
    return replace(outcome, locked=replace(outcome.locked, files=tuple(files)), notes=tuple(notes))


def _summary(outcomes: Sequence[Outcome]) -> Resolution:
    return Resolution(
        entries=tuple(outcome.locked for outcome in outcomes if outcome.locked is not None),
        failures=tuple(
            (outcome.case.entry, outcome.failure)
            for outcome in outcomes
            if outcome.failure is not None
        ),
        notes=tuple(note for outcome in outcomes for note in outcome.notes),
    )
