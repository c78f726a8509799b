"""What `GET /models` is asked, checked as strictly and as oddly as Civitai does it.

`page` does not page, some parameters can never be right in a query string, and presence
alone switches others on (civitai/civitai: src/server/schema/model.schema.ts).
"""

import re
from datetime import UTC, datetime, timedelta

from civsync.core.values import dataclass
from civsync.demo import values
from civsync.demo.messages import Request
from civsync.demo.registry import Registry, iso

_MAX_LIMIT = 100
_TRUE = frozenset({"true", "1", "yes", "on", "y", "enabled"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "disabled"})
_PERIODS = {"Year": 365, "Month": 30, "Week": 7, "Day": 1}
_NO_SLUG = re.compile("[^a-zA-Z0-9_]")


# Typed as number or boolean by the server, while a query string only has text.
_NEVER_VALID = (
    "browsingLevel",
    "collectionId",
    "allowNoCredit",
    "allowDerivatives",
    "allowDifferentLicense",
    "disablePoi",
    "disableMinor",
)
_CHOICES: dict[str, tuple[str, ...]] = {
    "types": values.MODEL_TYPES,
    "checkpointType": values.CHECKPOINT_TYPES,
    "sort": values.SORTS,
    "period": values.PERIODS,
    "periodMode": values.PERIOD_MODES,
    "allowCommercialUse": values.COMMERCIAL_USES,
    "availability": values.AVAILABILITIES,
    "fileFormats": values.FILE_FORMATS,
}


class BadParameterError(ValueError):
    """A parameter that the validator refuses: its name and the complaint."""

    def __init__(self, name: str, complaint: str) -> None:
        super().__init__(f"{name}: {complaint}")
        self.name = name
        self.complaint = complaint


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The understood parameters of one call; `since` is the date that `period` reaches back to."""

    limit: int
    page: int | None
    ids: tuple[int, ...] | None
    version_ids: frozenset[int] | None
    cursor: str | None
    nsfw: bool
    archived: bool
    primary_only: bool
    text: str | None
    sort: str
    types: tuple[str, ...]
    base_models: tuple[str, ...]
    username: str
    favorites: bool
    since: str


def slug(name: str | None) -> str:
    """Write a user's name as `username` is understood.

    Source: civitai/civitai: src/utils/string-helpers.ts, `postgresSlugify`.
    """
    return _NO_SLUG.sub("", (name or "").replace(" ", "_", 1)).lower()


def read_parameters(registry: Registry, request: Request) -> Asked:
    """Return what is asked. Raises BadParameterError."""
    for name in _NEVER_VALID:
        if name in request.query:
            raise BadParameterError(name, "Invalid input: expected number, received string")
    for name, allowed in _CHOICES.items():
        for value in request.query.get(name, []):
            if value not in allowed:
                raise BadParameterError(name, f"Invalid option: expected one of {allowed}")
    if len(request.query.get("fileFormats", ["", ""])) < 2:
        raise BadParameterError("fileFormats", "Invalid input: expected array, received string")
    if any("," in value for value in request.query.get("baseModels", [])):
        raise BadParameterError("baseModels", "Invalid option")
    text = request.first("query") or None
    page = _number(request, "page", 1, 2**31)
    if text and page is not None:
        raise BadParameterError("page", "Cannot use page param with query search")
    limit = _number(request, "limit", 0, _MAX_LIMIT)
    version_ids = _numbers(request, "modelVersionIds")
    days = _PERIODS.get(request.first("period") or "")
    now = datetime.fromtimestamp(registry.clock(), UTC)
    return Asked(
        limit=_MAX_LIMIT if limit is None else limit,
        page=page,
        ids=_numbers(request, "ids"),
        version_ids=None if version_ids is None else frozenset(version_ids),
        cursor=request.first("cursor") or None,
        nsfw=_boolean(request, "nsfw"),
        archived=bool(request.first("archived")),
        primary_only=_boolean(request, "primaryFileOnly"),
        text=text,
        sort=request.first("sort") or "Highest Rated",
        types=tuple(request.query.get("types", ())),
        base_models=tuple(request.query.get("baseModels", ())),
        username=slug(request.first("username")),
        favorites=_boolean(request, "favorites"),
        since="" if days is None else iso(now - timedelta(days=days)),
    )


def _number(request: Request, name: str, least: int, most: int) -> int | None:
    value = request.first(name)
    if value is None:
        return None
    if not value.isdecimal() or not least <= int(value) <= most:
        raise BadParameterError(name, f"Too big: expected number to be {least} to {most}")
    return int(value)


def _numbers(request: Request, name: str) -> tuple[int, ...] | None:
    found = ",".join(request.query.get(name, []))
    if not found:
        return None
    parts = [part.strip() for part in found.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise BadParameterError(name, "Invalid input: expected number, received NaN")
    return tuple(int(part) for part in parts)


def _boolean(request: Request, name: str) -> bool:
    value = (request.first(name) or "false").lower()
    if value not in _TRUE | _FALSE:
        raise BadParameterError(name, "Invalid input: expected boolean, received string")
    return value in _TRUE
