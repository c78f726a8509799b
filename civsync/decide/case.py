"""What is known of one entry before and after Civitai was asked, and which versions will do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.lock import LockedEntry, LockedFile
from civsync.core.request import ById, Entry, Request
from civsync.decide.lookup import Catalog, Target
from civsync.decide.record import Known, known_of
from civsync.decide.satisfy import differing_keys, shortfalls, version_shortfalls
from civsync.decide.versions import choose_version, find_version


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One entry with what is known of it.

    `fresh` says that it shall be upgraded, `settled` that nothing has to be asked.
    `version` is the one that the lock holds, if it is one that the request may lead to.
    """

    entry: Entry
    before: LockedEntry | None
    fresh: bool
    satisfied: bool
    version: int | None
    known: Known

    @property
    def settled(self) -> bool:
        """Whether nothing has to be asked."""
        return self.satisfied and not self.fresh

    @property
    def target(self) -> Target:
        """What has to be shown for this entry."""
        return Target(request=self.entry.request, known=self.version, stay=not self.fresh)


def make_case(
    entry: Entry, before: LockedEntry | None, files: Mapping[int, LockedFile], *, fresh: bool
) -> Case:
    """Compare an entry with what it was locked as, if it was; `files` are the whole lock's."""
    if before is None:
        return Case(
            entry=entry,
            before=None,
            fresh=fresh,
            satisfied=False,
            version=None,
            known=known_of(None, files),
        )
    # A lock that was edited by hand may call anything anything: then only Civitai is believed.
    sound = bool(before.files) and not version_shortfalls(entry.request, before)
    return Case(
        entry=entry,
        before=before,
        fresh=fresh,
        satisfied=not differing_keys(entry.request, before)
        and not shortfalls(entry.request, before),
        version=_only(file.version_id for file in before.files) if sound else None,
        known=known_of(before if sound else None, files),
    )


def _only(values: Iterable[int]) -> int | None:
    """Return the one value that all of `values` are, if they are."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def versions_for(case: Case, catalog: Catalog) -> list[tuple[RemoteModel, RemoteVersion]]:
    """Return the versions that will do: the locked one first, unless it shall be upgraded.

    Raises UserError: unknown-model, unknown-version, version-of-other-model, unlockable.
    """
    request = case.entry.request
    whole = None if request.model_id is None else catalog.model(request.model_id)
    pinned = case.target.pinned
    shown = None if pinned is None else catalog.version(pinned)
    if isinstance(request.version, ById):
        if shown is None and whole is None:
            raise _unknown(case, catalog)
        return [_pinned(request, shown, whole)]
    stay = [shown] if shown is not None and shown[0].id == request.model_id else []
    if case.entry.hold is not None and case.version is not None and not stay:
        raise UserError(
            Code.UNKNOWN_VERSION, f"Civitai does not show version {case.version}, which is held"
        )
    if stay and (whole is None or case.entry.hold is not None):
        return stay
    if whole is None:
        raise _unknown(case, catalog)
    choice = find_version(whole, request)
    if choice is None and not stay:
        choice = choose_version(whole, request)
    moved = choice is not None and choice.id not in {version.id for _, version in stay}
    return [*stay, (whole, choice)] if choice is not None and moved else stay


def _pinned(
    request: Request, shown: tuple[RemoteModel, RemoteVersion] | None, whole: RemoteModel | None
) -> tuple[RemoteModel, RemoteVersion]:
    """Return the version that is named by its id."""
    if shown is None:
        if whole is None:
            raise AssertionError("nothing was shown")
        return whole, choose_version(whole, request)
    model, version = shown
    if request.model_id not in (None, model.id):
        raise UserError(
            Code.VERSION_OF_OTHER_MODEL,
            f'version {version.id} "{version.name}" belongs to model {model.id}'
            f' "{model.name}", not to {request.model_id}',
            data={"version_id": version.id, "model_id": model.id},
        )
    if find_version(replace(model, versions=(version,)), request) is None:
        raise UserError(
            Code.UNKNOWN_VERSION,
            f'version {version.id} "{version.name}" is for "{version.base_model}", not for'
            f' "{request.base_model}"',
            hint="Correct `base_model:`, or leave it out.",
            data={"version_id": version.id, "model_id": model.id},
        )
    return model, version


def _unknown(case: Case, catalog: Catalog) -> UserError:
    request = case.entry.request
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
