"""Choose the version of a model that a request means."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import assert_never

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.request import All, ById, ByName, Count, Latest, Newest, Request
from civsync.decide.select import listing
from civsync.documents.hints import did_you_mean


def find_version(model: RemoteModel, request: Request) -> RemoteVersion | None:
    """Return the version of `model` that `request` means, if it is among those shown.

    `latest` is the creator's default (`index` 0, else the first shown), `newest` has the
    greatest publication date; both among the versions for `base_model`. A name that two
    versions share names neither.
    """
    versions = _of_base_model(model.versions, request.base_model)
    if not versions:
        return None
    match request.version:
        case Latest():
            return min(
                enumerate(versions),
                key=lambda pair: (
                    pair[1].index is None,
                    pair[0] if pair[1].index is None else pair[1].index,
                    pair[1].id,
                ),
            )[1]
        case Newest():
            return max(versions, key=lambda version: (_published(version), version.id))
        case ById(id=number):
            return next((version for version in versions if version.id == number), None)
        case ByName(name=name):
            exact = [version for version in versions if version.name.strip() == name.strip()]
            alike = [version for version in versions if same_name(version.name, name)]
            found = exact or alike
            return found[0] if len(found) == 1 else None
        case All() | Count():
            raise NotImplementedError
        case _:
            assert_never(request.version)


def choose_version(model: RemoteModel, request: Request) -> RemoteVersion:
    """Return the version of `model` that `request` means.

    Raises UserError: unknown-version, which lists what there is, or unlockable for a model
    without any version.
    """
    version = find_version(model, request)
    if version is not None:
        return version
    named = f'model {model.id} "{model.name}"'
    if not model.versions:
        raise UserError(
            Code.UNLOCKABLE, f"{named} has no published version", data={"model_id": model.id}
        )
    versions = _of_base_model(model.versions, request.base_model)
    if not versions:
        families = sorted({version.base_model for version in model.versions})
        raise UserError(
            Code.UNKNOWN_VERSION,
            f'{named} has no version for "{request.base_model}"; there is: {listing(families)}',
            hint=did_you_mean(request.base_model or "", families),
            data={"model_id": model.id},
        )
    wanted, nearest = _wanted(request, versions)
    lines = [
        f'{version.id} "{version.name}" ({version.base_model})'
        for version in sorted(versions, key=lambda version: version.id)
    ]
    raise UserError(
        Code.UNKNOWN_VERSION,
        f"{named} has no {wanted}; there is: {listing(lines)}",
        hint=nearest,
        data={"model_id": model.id},
    )


def same_name(left: str, right: str) -> bool:
    """Tell whether two names differ in case and outer blanks at most."""
    return left.strip().casefold() == right.strip().casefold()


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


def _of_base_model(
    versions: Sequence[RemoteVersion], base_model: str | None
) -> tuple[RemoteVersion, ...]:
    if base_model is None:
        return tuple(versions)
    return tuple(version for version in versions if same_name(version.base_model, base_model))


def _published(version: RemoteVersion) -> datetime:
    """Return when a version was published; without a readable date, before all others."""
    try:
        moment = datetime.fromisoformat(version.published_at or "")
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
