"""What is known of one entry before and after Civitai was asked, and which versions will do."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.lock import LockedEntry, LockedFile
from civsync.core.request import All, ById, Count, Entry, Request
from civsync.core.values import dataclass
from civsync.core.wording import SEARCH_FACTS, describe_request
from civsync.decide.admission import Admission
from civsync.decide.lookup import Catalog, Target
from civsync.decide.record import Known, known_of
from civsync.decide.satisfy import differing_facts, shortfalls, version_shortfalls
from civsync.decide.versions import (
    admitted_versions,
    find_versions,
    most_versions,
    named_version,
    require_versions,
)

Shown = tuple[RemoteModel, RemoteVersion]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One entry with what is known of it.

    `facts` are its request in words. `fresh` says that it shall be upgraded, `settled` that
    nothing has to be asked. `changes` are the keys of the request that changed since it was
    locked, and `satisfied` says that it is locked just as it asks. `version` is the one that
    the lock holds, if it is one that the request may lead to.
    """

    entry: Entry
    facts: Mapping[str, str]
    before: LockedEntry | None
    fresh: bool
    changes: frozenset[str] = frozenset()
    satisfied: bool
    version: int | None
    known: Known
    admission: Admission

    @property
    def request(self) -> Request:
        """What the entry asks for."""
        return self.entry.request

    @property
    def settled(self) -> bool:
        """Whether nothing has to be asked."""
        return self.satisfied and not self.fresh

    @property
    def is_search(self) -> bool:
        """Whether models have to be searched for."""
        return self.request.search is not None and self.request.model_id is None

    @property
    def searches_anew(self) -> bool:
        """Whether the listing has to be asked: what was found once stays, but for an upgrade."""
        found = self.before is not None and bool(self.before.files)
        return self.is_search and (self.fresh or not found or bool(self.changes & SEARCH_FACTS))

    @property
    def takes_many(self) -> bool:
        """Whether several versions of one model are wanted."""
        return isinstance(self.request.version, All | Count)

    @property
    def target(self) -> Target:
        """What has to be shown for this entry, where it is no search."""
        return Target(request=self.request, known=self.version, stay=not self.fresh)

    @property
    def targets(self) -> list[Target]:
        """What has to be looked up for this entry besides what is searched for."""
        if not self.is_search:
            return [self.target]
        return [] if self.searches_anew else [part.target for part in parts_of(self)]


def make_case(
    entry: Entry,
    before: LockedEntry | None,
    files: Mapping[int, LockedFile],
    admission: Admission,
    *,
    fresh: bool,
) -> Case:
    """Compare an entry with what it was locked as, if it was; `files` are the whole lock's."""
    facts = describe_request(entry.request)
    if before is None:
        return Case(
            entry=entry,
            facts=facts,
            before=None,
            fresh=fresh,
            satisfied=False,
            version=None,
            known=known_of(None, files),
            admission=admission,
        )
    # A lock that was edited by hand may call anything anything: then only Civitai is believed.
    sound = bool(before.files) and not version_shortfalls(entry.request, before)
    changes = frozenset(key for key, _, _ in differing_facts(facts, before))
    return Case(
        entry=entry,
        facts=facts,
        before=before,
        fresh=fresh,
        changes=changes,
        satisfied=not changes and not shortfalls(entry.request, before),
        version=_only(file.version_id for file in before.files) if sound else None,
        known=known_of(before if sound else None, files),
        admission=admission,
    )


def narrow(case: Case, request: Request, files: Iterable[LockedFile]) -> Case:
    """Return the part of `case` that asks for `request`; `files` are what is locked of that.

    Its facts are those of the whole, which is what is locked.
    """
    own = tuple(files)
    # Whose versions wait is not told, so it is found out anew for every part.
    before = (
        replace(case.before, files=own, waiting=()) if case.before is not None and own else None
    )
    sound = before is not None and not version_shortfalls(request, before)
    stays = sound and "versions" not in case.changes
    return replace(
        case,
        entry=replace(case.entry, request=request),
        before=before,
        satisfied=before is not None
        and not case.changes - SEARCH_FACTS
        and not shortfalls(request, before),
        version=_only(file.version_id for file in own) if stays else None,
    )


def parts_of(case: Case, model_ids: Iterable[int] | None = None) -> list[Case]:
    """Return the parts of a search, one a model: those locked, or `model_ids` where given."""
    locked: dict[int, list[LockedFile]] = {}
    for file in case.before.files if case.before is not None else ():
        locked.setdefault(file.model_id, []).append(file)
    return [
        narrow(case, replace(case.request, model_id=number), locked.get(number, ()))
        for number in (sorted(locked) if model_ids is None else model_ids)
    ]


def versions_for(case: Case, catalog: Catalog) -> list[Shown]:
    """Return the versions that will do: the locked one first, unless it shall be upgraded.

    Raises UserError: unknown-model, unknown-version, version-of-other-model, too-new,
    unlockable; RegistryError early-access.
    """
    request = case.request
    whole = None if request.model_id is None else catalog.model(request.model_id)
    pinned = case.target.pinned
    shown = None if pinned is None else catalog.version(pinned)
    if isinstance(request.version, ById):
        if shown is None and whole is None:
            raise _unknown(case, catalog)
        return [_pinned(case, shown, whole)]
    stay = [shown] if shown is not None and shown[0].id == request.model_id else []
    if case.entry.hold is not None and case.version is not None and not stay:
        raise UserError(
            Code.UNKNOWN_VERSION, f"Civitai does not show version {case.version}, which is held"
        )
    if stay and case.entry.hold is not None:
        refusal = case.admission.refusal(stay[0][1])
        if refusal is not None:
            raise refusal
        return stay
    # What was locked may be too young for a bound that was set since.
    stay = [each for each in stay if case.admission.admits(each[1])]
    if whole is None:
        if stay:
            return stay
        raise _unknown(case, catalog)
    if stay:
        found = find_versions(whole, request, case.admission)
    else:
        found = require_versions(whole, request, case.admission)
    if case.fresh and case.changes and case.version is not None:
        # Where what is newer is refused, what is locked may still be what is asked for now.
        admitted = admitted_versions(whole, request, case.admission)
        locked = (version for version in admitted if version.id == case.version)
        found = (*found, *(version for version in locked if version not in found))
        return [(whole, version) for version in found]
    known = {version.id for _, version in stay}
    return [*stay, *((whole, version) for version in found[:1] if version.id not in known)]


def many_for(case: Case, catalog: Catalog) -> tuple[RemoteModel, list[RemoteVersion]]:
    """Return all the versions that an entry for several means, with their model.

    Those that are locked come first and stay, unless the entry shall be upgraded. Raises as
    `versions_for`.
    """
    whole = catalog.model(case.request.model_id or 0)
    if whole is None:
        raise _unknown(case, catalog)
    found = list(require_versions(whole, case.request, case.admission))
    if case.fresh or case.before is None or "versions" in case.changes:
        return whole, found
    locked = {file.version_id for file in case.before.files}
    admitted = admitted_versions(whole, case.request, case.admission)
    stay = [version for version in admitted if version.id in locked]
    most = most_versions(case.request)
    if most is None:
        return whole, stay or found
    return whole, [*stay, *(version for version in found if version.id not in locked)][:most]


def lost_versions(case: Case, model: RemoteModel) -> list[int]:
    """Return the locked versions that an entry for several means and `model` does not show.

    All versions are all that there were: none is given up because upstream did.
    """
    if case.before is None or (case.fresh and most_versions(case.request) is not None):
        return []
    shown = {version.id for version in model.versions}
    return sorted({file.version_id for file in case.before.files} - shown)


def _only(values: Iterable[int]) -> int | None:
    """Return the one value that all of `values` are, if they are."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _pinned(case: Case, shown: Shown | None, whole: RemoteModel | None) -> Shown:
    """Return the version that is named by its id."""
    request = case.request
    if shown is None:
        if whole is None:
            raise AssertionError("nothing was shown")
        return whole, require_versions(whole, request, case.admission)[0]
    model, version = shown
    if request.model_id not in (None, model.id):
        raise UserError(
            Code.VERSION_OF_OTHER_MODEL,
            f'version {version.id} "{version.name}" belongs to model {model.id}'
            f' "{model.name}", not to {request.model_id}',
            data={"version_id": version.id, "model_id": model.id},
        )
    if named_version(replace(model, versions=(version,)), request) is None:
        raise UserError(
            Code.UNKNOWN_VERSION,
            f'version {version.id} "{version.name}" is for "{version.base_model}", not for'
            f' "{request.base_model}"',
            hint="Correct `base_model:`, or leave it out.",
            data={"version_id": version.id, "model_id": model.id},
        )
    refusal = case.admission.refusal(version)
    if refusal is not None:
        raise refusal
    return model, version


def _unknown(case: Case, catalog: Catalog) -> UserError:
    request = case.request
    if request.model_id is None:
        return UserError(
            Code.UNKNOWN_VERSION,
            f"no endpoint of Civitai shows a version {case.entry.key.removeprefix('@')}",
            hint="Check the number: it is the one after modelVersionId= in the page's address.",
        )
    version = case.version
    if version is not None and catalog.version(version) is not None:
        return UserError(
            Code.UNKNOWN_MODEL,
            f"Civitai shows only single versions of model {request.model_id}, so that it is not"
            " to be known which one is the latest",
            hint="Pin the version by its id.",
            data={"model_id": request.model_id},
        )
    return UserError(
        Code.UNKNOWN_MODEL,
        f"no endpoint of Civitai shows a model {request.model_id}",
        data={"model_id": request.model_id},
    )
