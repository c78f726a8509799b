"""Lock what leads to many versions: what a search finds, and several versions of one model.

Each part is locked as an entry of its own would be; one that must not be locked is left out
and told, and never fails the others.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from civsync.core.codes import Code
from civsync.core.errors import RegistryError, SafetyError, UserError
from civsync.core.limits import SEARCH_MODELS
from civsync.core.lock import LockedEntry, Waiting
from civsync.core.request import ById
from civsync.core.wording import SEARCH_FACTS
from civsync.decide.case import Case, lost_versions, many_for, narrow, parts_of
from civsync.decide.lookup import Catalog
from civsync.decide.notes import Note
from civsync.decide.outcome import Outcome, keep, lock_one, waiting_for
from civsync.decide.satisfy import shortfalls
from civsync.decide.searching import Hits


def lock_hits(case: Case, catalog: Catalog, hits: Hits) -> Outcome:
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
    limit = None if search is None else search.limit
    text = _cut(hits, limit)
    broken = hits.more and (limit is None or len(hits.models) < limit)
    found = {model.id for model in hits.models}
    stay = _unreached(case, found, limit) if broken or hits.unread else []
    told = [("search-cut", text)] if text else []
    if hits.unread:
        count = "1 model" if hits.unread == 1 else f"{hits.unread} models"
        told.append(("unreadable", f"{count} of Civitai's listing could not be read"))
    kept = "; what was found before stays" if stay else ""
    notes = [Note(code=code, entry=case.entry.key, message=said + kept) for code, said in told]
    parts = [_part(part, catalog) for part in parts_of(case, sorted(found))]
    return _united(case, [*parts, *stay], notes)


def _unreached(case: Case, found: AbstractSet[int], limit: int | None) -> list[Outcome]:
    """Return what is locked of models that a listing did not come to, or not legibly.

    That it did not show them proves nothing. They go where the search itself was changed.
    """
    if case.changes & SEARCH_FACTS:
        return []
    stay = [
        Outcome(case=part, locked=part.before)
        for part in parts_of(case)
        if part.satisfied and part.request.model_id not in found
    ]
    return stay if limit is None else stay[: max(0, limit - len(found))]


def _cut(hits: Hits, limit: int | None) -> str:
    """Return what to say of hits that nobody chose to leave, "" where that is not so."""
    if not hits.more:
        return ""
    if limit is None or len(hits.models) < limit:
        return f"Civitai's listing did not end after {len(hits.models)} models, and was left there"
    if limit == SEARCH_MODELS:
        return f"the search finds more than {limit} models; `limit` says how many to take"
    return ""


def lock_found(case: Case, catalog: Catalog) -> Outcome:
    """Lock what a search found before, for a request that searches for the same.

    Raises as `lock_one`, where nothing is left.
    """
    text = "what the search found before stays; `civsync lock --upgrade` asks it again"
    notes = [Note(code="search-kept", entry=case.entry.key, message=text)] if case.changes else []
    return _united(case, [_part(part, catalog) for part in parts_of(case)], notes)


def lock_many(case: Case, catalog: Catalog) -> Outcome:
    """Lock several versions of one model; those that must not be locked are left out, and told.

    Raises as `lock_one`, where nothing is left.
    """
    files = case.before.files if case.before is not None else ()
    parts: list[Outcome] = []
    model, versions = many_for(case, catalog)
    for number in (*(version.id for version in versions), *lost_versions(case, model)):
        request = replace(case.request, model_id=model.id, version=ById(number))
        own = [file for file in files if file.version_id == number]
        parts.append(_part(narrow(case, request, own), catalog))
    return _united(
        case, parts, [], waiting=waiting_for(case, model, {version.id for version in versions})
    )


def _part(case: Case, catalog: Catalog) -> Outcome:
    """Lock one of many; what cannot be locked is a failure of this part alone."""
    try:
        return lock_many(case, catalog) if case.takes_many else lock_one(case, catalog)
    except (UserError, RegistryError) as error:
        unseen = error.code in (Code.UNKNOWN_MODEL, Code.UNKNOWN_VERSION)
        before = case.before
        if before is not None and (
            case.satisfied or (unseen and not shortfalls(case.request, before))
        ):
            return keep(case, catalog, error)
        return Outcome(case=case, locked=None, failure=error)


def _united(
    case: Case,
    parts: Sequence[Outcome],
    notes: Sequence[Note],
    *,
    waiting: tuple[Waiting, ...] = (),
) -> Outcome:
    """Put what was locked of many into one entry. Raises the first failure if nothing was."""
    locked = [part.locked for part in parts if part.locked is not None]
    failed = [(part, part.failure) for part in parts if part.failure is not None]
    failures = [failure for _, failure in failed]
    if not locked and failures:
        raise failures[0]
    key = case.entry.key
    told = [
        Note(
            code="left-out",
            entry=key,
            message=f"model {part.case.request.model_id}: {error.message}; it is left out of {key}",
        )
        for part, error in failed
    ]
    waits = {each.version_id: each for entry in locked for each in entry.waiting}
    waits |= {each.version_id: each for each in waiting}
    files = {(file.version_id, file.file_id): file for entry in locked for file in entry.files}
    return Outcome(
        case=case,
        locked=LockedEntry(
            key=key,
            request=case.facts,
            waiting=tuple(waits[number] for number in sorted(waits)),
            files=tuple(files[ids] for ids in sorted(files)),
        ),
        notes=(*notes, *(note for part in parts for note in part.notes), *told),
        linked=tuple(link for part in parts for link in part.linked),
    )
