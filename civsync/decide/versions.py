"""Choose the versions of a model that a request means."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import assert_never

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, UserError
from civsync.core.request import All, ById, ByName, Count, Latest, Newest, Request
from civsync.decide.admission import Admission, moment_of
from civsync.decide.select import listing
from civsync.documents.hints import did_you_mean


def named_version(model: RemoteModel, request: Request) -> RemoteVersion | None:
    """Return the one version that `request` names by id or name, if it is shown.

    A name that two versions share names neither.
    """
    versions = of_family(model.versions, request)
    match request.version:
        case ById(id=number):
            return next((version for version in versions if version.id == number), None)
        case ByName(name=name):
            exact = [version for version in versions if version.name.strip() == name.strip()]
            alike = [version for version in versions if same_name(version.name, name)]
            found = exact or alike
            return found[0] if len(found) == 1 else None
        case Latest() | Newest() | All() | Count():
            return None
        case _:
            assert_never(request.version)


def ranked_versions(model: RemoteModel, request: Request) -> tuple[RemoteVersion, ...]:
    """Return the versions that `request` lets choose from, the one it means most first.

    The creator's order (`index`, else as shown), or by publication date for `newest`; among
    the versions for `base_model`. A named version stands alone.
    """
    versions = of_family(model.versions, request)
    match request.version:
        case Latest() | All() | Count():
            return tuple(version for _, version in sorted(enumerate(versions), key=_creators_order))
        case Newest():
            return tuple(sorted(versions, key=_publication, reverse=True))
        case ById() | ByName():
            named = named_version(model, request)
            return () if named is None else (named,)
        case _:
            assert_never(request.version)


def find_versions(
    model: RemoteModel, request: Request, admission: Admission
) -> tuple[RemoteVersion, ...]:
    """Return the versions of `model` that `request` means and `admission` lets in.

    None at all where one that is meant must be free and is not.
    """
    ranked = ranked_versions(model, request)
    if admission.sold(_meant(ranked, request, admission)) is not None:
        return ()
    return _first(request, admitted_versions(model, request, admission))


def admitted_versions(
    model: RemoteModel, request: Request, admission: Admission
) -> tuple[RemoteVersion, ...]:
    """Return all that `request` lets choose from and `admission` lets in, in its order."""
    ranked = ranked_versions(model, request)
    return tuple(version for version in ranked if admission.admits(version))


def most_versions(request: Request) -> int | None:
    """Return how many versions of one model `request` means at most, None for any number."""
    match request.version:
        case All():
            return None
        case Count(count=count):
            return count
        case Latest() | Newest() | ById() | ByName():
            return 1
        case _:
            assert_never(request.version)


def _first(request: Request, ranked: Sequence[RemoteVersion]) -> tuple[RemoteVersion, ...]:
    return tuple(ranked[: most_versions(request)])


def _meant(
    ranked: Sequence[RemoteVersion], request: Request, admission: Admission
) -> tuple[RemoteVersion, ...]:
    """Return what would be chosen if all versions were free."""
    return _first(request, [version for version in ranked if not admission.is_young(version)])


def require_versions(
    model: RemoteModel, request: Request, admission: Admission
) -> tuple[RemoteVersion, ...]:
    """Return what `find_versions` does, at least one.

    Raises UserError: unknown-version, which lists what there is, too-new, or unlockable for a
    model without any version; RegistryError early-access.
    """
    versions = find_versions(model, request, admission)
    if versions:
        return versions
    ranked = ranked_versions(model, request)
    # The first one is what was meant; why it is barred tells most.
    barred = admission.sold(_meant(ranked, request, admission)) or next(iter(ranked), None)
    refusal = None if barred is None else admission.refusal(barred)
    if refusal is not None:
        raise refusal
    raise _nothing_there(model, request)


def _nothing_there(model: RemoteModel, request: Request) -> CivsyncError:
    named = f'model {model.id} "{model.name}"'
    if not model.versions:
        return UserError(
            Code.UNLOCKABLE, f"{named} has no published version", data={"model_id": model.id}
        )
    versions = of_family(model.versions, request)
    if not versions:
        families = sorted({version.base_model for version in model.versions})
        wanted = " or ".join(f'"{name}"' for name in families_of(request))
        return UserError(
            Code.UNKNOWN_VERSION,
            f"{named} has no version for {wanted}; there is: {listing(families)}",
            hint=did_you_mean(families_of(request)[0], families),
            data={"model_id": model.id},
        )
    meant, nearest = _wanted(request, versions)
    lines = [
        f'{version.id} "{version.name}" ({version.base_model})'
        for version in sorted(versions, key=lambda version: version.id)
    ]
    return UserError(
        Code.UNKNOWN_VERSION,
        f"{named} has no {meant}; there is: {listing(lines)}",
        hint=nearest,
        data={"model_id": model.id},
    )


def same_name(left: str, right: str) -> bool:
    """Tell whether two names differ in case and outer blanks at most."""
    return left.strip().casefold() == right.strip().casefold()


def families_of(request: Request) -> tuple[str, ...]:
    """Return the base models that `request` is narrowed to; none for any."""
    if request.base_model is not None:
        return (request.base_model,)
    return request.search.base_models if request.search is not None else ()


def of_family(versions: Sequence[RemoteVersion], request: Request) -> tuple[RemoteVersion, ...]:
    """Return the versions for the base models that `request` is narrowed to."""
    families = families_of(request)
    if not families:
        return tuple(versions)
    return tuple(v for v in versions if any(same_name(v.base_model, each) for each in families))


def _wanted(request: Request, versions: Sequence[RemoteVersion]) -> tuple[str, str]:
    """Return what was asked for, in words, and a hint at what may have been meant."""
    match request.version:
        case ById(id=number):
            return f"version {number}", ""
        case ByName(name=name):
            if sum(same_name(version.name, name) for version in versions) > 1:
                return f'single version called "{name}"', "Name the version by its id."
            return f'version called "{name}"', did_you_mean(
                name, [version.name for version in versions]
            )
        case Latest() | Newest() | All() | Count():
            return "version to choose", ""
        case _:
            assert_never(request.version)


def _creators_order(pair: tuple[int, RemoteVersion]) -> tuple[bool, int, int]:
    place, version = pair
    shown = place if version.index is None else version.index
    return (version.index is None, shown, version.id)


def _publication(version: RemoteVersion) -> tuple[datetime, int]:
    """Order by date, then id; without a readable date, before all others."""
    moment = moment_of(version.published_at)
    return (datetime.min.replace(tzinfo=UTC) if moment is None else moment, version.id)
