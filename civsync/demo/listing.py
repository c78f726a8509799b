"""`GET /api/v1/models`: batches by ids, search, and paging by cursor.

Parameters are checked as strictly and as oddly as Civitai does it: `page` does
not page, some parameters can never be right in a query string, and presence
alone switches others on (civitai/civitai: src/server/schema/model.schema.ts,
src/server/services/model-search.service.ts).
"""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from civsync.demo import values
from civsync.demo.messages import Reply, Request, json_reply
from civsync.demo.registry import Model, Registry, Version
from civsync.demo.rules import shown_in_batch, shown_versions
from civsync.demo.shapes import Shapes

_MAX_LIMIT = 100
_PAGE_CAP = 1000
_TRUE = frozenset({"true", "1", "yes", "on", "y", "enabled"})
_FALSE = frozenset({"false", "0", "no", "off", "n", "disabled"})
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


class _BadParameterError(ValueError):
    """A parameter that the validator refuses: its name and the complaint."""

    def __init__(self, name: str, complaint: str) -> None:
        super().__init__(f"{name}: {complaint}")
        self.name = name
        self.complaint = complaint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """The understood parameters of one call."""

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


def list_models(registry: Registry, shapes: Shapes, request: Request, base: str) -> Reply:
    """Answer the call; the caller has seen to tokens and caching."""
    try:
        asked = _read(request)
    except _BadParameterError as bad:
        issue = {"code": "invalid_type", "path": [bad.name], "message": bad.complaint}
        return json_reply(400, {"error": {"name": "ZodError", "issues": [issue]}})
    if asked.page is not None and asked.page * asked.limit > _PAGE_CAP:
        text = "You've requested too many pages, please use cursors instead"
        return json_reply(429, {"error": text})
    username = request.first("username")
    if username and all(m.creator != username for m in list(registry.models.values())):
        return json_reply(404, {"error": f"No user with username {username}"})

    found = _ordered(_matching(registry, asked, request), asked.sort)
    try:
        start = _position(found, asked)
    except ValueError:
        return json_reply(400, {"error": {"name": "ZodError", "issues": [{"path": ["cursor"]}]}})
    count = max(1, asked.limit)
    shown = found[start : start + count]
    items = [
        shapes.listed_model(model, _versions(model, asked), primary_only=asked.primary_only)
        for _, model in shown
    ]
    metadata: dict[str, object] = {}
    if start + count < len(found):
        rank, last = shown[-1]
        cursor = str(start + count) if asked.text else f"{rank:.0f}|{last.id}"
        query = [(n, v) for n, vs in request.query.items() if n != "cursor" for v in vs]
        metadata["nextCursor"] = cursor
        metadata["nextPage"] = f"{base}/api/v1/models?{urlencode([*query, ('cursor', cursor)])}"
    if asked.page is not None:
        metadata |= {"currentPage": asked.page, "pageSize": asked.limit}
    return json_reply(200, {"items": items, "metadata": metadata})


def _matching(registry: Registry, asked: _Asked, request: Request) -> list[Model]:
    """Find the models that pass every filter."""
    if asked.ids is not None:
        candidates = [registry.models[i] for i in dict.fromkeys(asked.ids) if i in registry.models]
    elif asked.version_ids is not None:
        hits = [registry.find_version(i) for i in asked.version_ids]
        candidates = list({hit[0].id: hit[0] for hit in hits if hit is not None}.values())
    else:
        candidates = list(registry.models.values())
    tests = _tests(registry, asked, request)
    return [
        model
        for model in candidates
        if shown_in_batch(registry, model, nsfw=asked.nsfw, archived=asked.archived)
        and all(test(model) for test in tests)
    ]


def _tests(registry: Registry, asked: _Asked, request: Request) -> list[Callable[[Model], bool]]:
    tests: list[Callable[[Model], bool]] = []
    if asked.version_ids is not None:
        tests.append(lambda model: bool(_versions(model, asked)))
    if types := request.query.get("types"):
        tests.append(lambda model: model.type in types)
    if bases := request.query.get("baseModels"):
        tests.append(lambda model: any(v.base_model in bases for v in model.versions))
    if username := request.first("username"):
        tests.append(lambda model: model.creator == username)
    if tag := request.first("tag") or request.first("tagname"):
        tests.append(lambda model: tag in model.tags)
    if merged := request.first("checkpointType"):
        tests.append(lambda model: model.checkpoint_type == merged)
    if availability := request.first("availability"):
        tests.append(lambda model: model.availability == availability)
    elif asked.ids is None and asked.version_ids is None:
        tests.append(lambda model: model.availability == "Public")
    if uses := request.query.get("allowCommercialUse"):
        tests.append(lambda model: any(use in model.allow_commercial_use for use in uses))
    if formats := request.query.get("fileFormats"):
        tests.append(
            lambda model: any(f.format in formats for v in model.versions for f in v.files)
        )
    if request.first("earlyAccess"):
        tests.append(lambda model: any(_gated(v, registry) for v in model.versions))
    if asked.text:
        words = asked.text.lower().split()
        tests.append(lambda model: all(word in model.name.lower() for word in words))
    return tests


def _gated(version: Version, registry: Registry) -> bool:
    return version.paid_access is not None and version.paid_access.active(registry.clock())


def _versions(model: Model, asked: _Asked) -> list[tuple[int, Version]]:
    """Choose the versions to show: `modelVersionIds` narrows, and drops what is not Public."""
    shown = shown_versions(model, public_only=asked.ids is None)
    if asked.version_ids is None:
        return shown
    return [(index, version) for index, version in shown if version.id in asked.version_ids]


def _ordered(models: list[Model], sort: str) -> list[tuple[float, Model]]:
    """Put the models in order, each with its rank: falling rank, then falling id."""
    return sorted(((_rank(m, sort), m) for m in models), key=lambda pair: (-pair[0], -pair[1].id))


def _rank(model: Model, sort: str) -> float:
    match sort:
        case "Most Downloaded":
            return model.downloads
        case "Newest" | "Oldest":
            dates = [v.published_at or v.created_at for v in model.versions]
            day = float(max(dates, default="0000-00-00T00:00:00")[:19].translate(_DIGITS_ONLY))
            return day if sort == "Newest" else -day
        case _:
            return model.thumbs_up


_DIGITS_ONLY = str.maketrans("", "", "-T:")


def _position(found: list[tuple[float, Model]], asked: _Asked) -> int:
    """Find where the cursor's page begins. Raises ValueError for a cursor not given out."""
    if asked.cursor is None:
        return 0
    if asked.text:
        return int(asked.cursor)
    rank, _, number = asked.cursor.partition("|")
    after = (-float(rank), -int(number))
    return sum(1 for score, model in found if (-score, -model.id) <= after)


def _read(request: Request) -> _Asked:
    for name in _NEVER_VALID:
        if name in request.query:
            raise _BadParameterError(name, "Invalid input: expected number, received string")
    for name, allowed in _CHOICES.items():
        for value in request.query.get(name, []):
            if value not in allowed:
                raise _BadParameterError(name, f"Invalid option: expected one of {allowed}")
    if len(request.query.get("fileFormats", ["", ""])) < 2:
        raise _BadParameterError("fileFormats", "Invalid input: expected array, received string")
    text = request.first("query") or None
    page = _number(request, "page", 1, 2**31)
    if text and page is not None:
        raise _BadParameterError("page", "Cannot use page param with query search")
    limit = _number(request, "limit", 0, _MAX_LIMIT)
    version_ids = _numbers(request, "modelVersionIds")
    return _Asked(
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
    )


def _number(request: Request, name: str, least: int, most: int) -> int | None:
    value = request.first(name)
    if value is None:
        return None
    if not value.isdecimal() or not least <= int(value) <= most:
        raise _BadParameterError(name, f"Too big: expected number to be {least} to {most}")
    return int(value)


def _numbers(request: Request, name: str) -> tuple[int, ...] | None:
    found = ",".join(request.query.get(name, []))
    if not found:
        return None
    parts = [part.strip() for part in found.split(",")]
    if not all(part.isdecimal() for part in parts):
        raise _BadParameterError(name, "Invalid input: expected number, received NaN")
    return tuple(int(part) for part in parts)


def _boolean(request: Request, name: str) -> bool:
    value = (request.first(name) or "false").lower()
    if value not in _TRUE | _FALSE:
        raise _BadParameterError(name, "Invalid input: expected boolean, received string")
    return value in _TRUE
