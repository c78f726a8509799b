"""`GET /api/v1/models`: batches by ids, search, and paging by cursor.

A cursor holds what the next page's first model is sorted by, so a page may begin anywhere
and models move while one pages. With `query` it is an offset into what the text finds, and
other filters thin the page out afterwards: such a page may be empty and still lead on.

Source: civitai/civitai: src/server/services/model-search.service.ts, model.service.ts.
"""

from bisect import bisect_left
from collections.abc import Callable
from urllib.parse import urlencode

from civsync.demo.messages import Reply, Request, json_reply
from civsync.demo.parameters import Asked, BadParameterError, read_parameters, slug
from civsync.demo.registry import Model, Registry, Version
from civsync.demo.rules import shown_in_batch, shown_versions
from civsync.demo.shapes import Shapes

_PAGE_CAP = 1000
_SIGNS: dict[str, tuple[int, ...]] = {"Newest": (-1, -1), "Oldest": (1, 1)}
"""Which parts of a rank are negative, the greatest coming first; elsewhere all but the id."""

_AGAIN = "~"
"""In a cursor: what follows tells an empty page that leads to the same place from the next one."""


def list_models(
    registry: Registry, shapes: Shapes, request: Request, base: str, token: str | None
) -> Reply:
    """Answer the call of whoever has `token`; the caller has seen to caching."""
    try:
        asked = read_parameters(registry, request)
    except BadParameterError as bad:
        issue = {"code": "invalid_type", "path": [bad.name], "message": bad.complaint}
        return json_reply(400, {"error": {"name": "ZodError", "issues": [issue]}})
    if asked.page is not None and asked.page * asked.limit > _PAGE_CAP:
        text = "You've requested too many pages, please use cursors instead"
        return json_reply(429, {"error": text})
    if asked.username and all(
        slug(model.creator) != asked.username for model in list(registry.models.values())
    ):
        return json_reply(404, {"error": f"No user with username {asked.username}"})

    found = _found(registry, asked, request, token)
    count = max(1, asked.limit)
    try:
        start = _position(found, asked)
    except ValueError:
        issue = {"code": "custom", "path": ["cursor"], "message": "Invalid cursor"}
        return json_reply(400, {"error": {"name": "ZodError", "issues": [issue]}})
    stop = start + count
    cursor = _cursor(found, stop, asked) if stop < len(found) else None
    if registry.empty_pages > 0:
        at = (asked.cursor or "").partition(_AGAIN)[0]
        stop, cursor = start, f"{at}{_AGAIN}{registry.empty_pages}"
        registry.empty_pages -= 1
    elif asked.cursor is not None:
        start = max(0, start - registry.page_overlap)
        cursor = asked.cursor if registry.cursors_repeat else cursor
    page = found[start:stop]
    if asked.text:
        passes = _test(registry, asked, request, token)
        page = [model for model in page if passes(model)]
    items = [
        shapes.listed_model(model, _versions(model, asked), primary_only=asked.primary_only)
        for model in page
    ]
    metadata: dict[str, object] = {}
    if cursor is not None:
        query = [(n, v) for n, vs in request.query.items() if n != "cursor" for v in vs]
        metadata["nextCursor"] = cursor
        metadata["nextPage"] = f"{base}/api/v1/models?{urlencode([*query, ('cursor', cursor)])}"
    if asked.page is not None:
        metadata |= {"currentPage": asked.page, "pageSize": asked.limit}
    return json_reply(200, None, text=shapes.text({"items": items, "metadata": metadata}))


def _found(registry: Registry, asked: Asked, request: Request, token: str | None) -> list[Model]:
    """Find what is paged through: what a text finds by relevance, else all that passes."""
    if not asked.text:
        passes = _test(registry, asked, request, token)
        found = [model for model in _candidates(registry, asked) if passes(model)]
        return sorted(found, key=lambda model: _rank(model, asked.sort))
    words = asked.text.lower().split()
    hits = [
        model
        for model in list(registry.models.values())
        if all(word in model.name.lower() for word in words)
        and (not asked.types or model.type in asked.types)
        and model.availability == "Public"
        and shown_in_batch(registry, model, nsfw=asked.nsfw)
    ]
    return sorted(hits, key=lambda model: (len(model.name), model.id))


def _candidates(registry: Registry, asked: Asked) -> list[Model]:
    if asked.ids is not None:
        return [registry.models[i] for i in dict.fromkeys(asked.ids) if i in registry.models]
    if asked.version_ids is not None:
        hits = [registry.find_version(i) for i in asked.version_ids]
        return list({hit[0].id: hit[0] for hit in hits if hit is not None}.values())
    return list(registry.models.values())


def _test(
    registry: Registry, asked: Asked, request: Request, token: str | None
) -> Callable[[Model], bool]:
    """Return whether a model passes every filter."""
    tests = _tests(registry, asked, request)
    if asked.favorites:
        liked = registry.favorites.get(token or "", set())
        tests.append(lambda model: model.id in liked)
    return lambda model: (
        shown_in_batch(registry, model, nsfw=asked.nsfw, archived=asked.archived)
        and all(test(model) for test in tests)
    )


def _tests(registry: Registry, asked: Asked, request: Request) -> list[Callable[[Model], bool]]:
    tests: list[Callable[[Model], bool]] = []
    if asked.version_ids is not None or asked.base_models:
        tests.append(lambda model: bool(_versions(model, asked)))
    if types := asked.types:
        tests.append(lambda model: model.type in types)
    if asked.username:
        tests.append(lambda model: slug(model.creator) == asked.username)
    tag = (request.first("tagname") or request.first("tag") or "").lower()
    if tag and any(_has_tag(model, tag) for model in list(registry.models.values())):
        # A tag that nobody uses filters nothing at all.
        tests.append(lambda model: _has_tag(model, tag))
    merged = request.first("checkpointType")
    if merged and (not types or "Checkpoint" in types):
        tests.append(lambda m: m.type != "Checkpoint" or m.checkpoint_type == merged)
    if availability := request.first("availability"):
        tests.append(lambda model: model.availability == availability)
    if asked.since and request.first("periodMode") != "stats":
        tests.append(lambda model: _last_version_at(model) >= asked.since)
    if uses := request.query.get("allowCommercialUse"):
        tests.append(lambda model: any(use in model.allow_commercial_use for use in uses))
    if formats := request.query.get("fileFormats"):
        tests.append(
            lambda model: any(f.format in formats for v in model.versions for f in v.files)
        )
    if request.first("earlyAccess"):
        tests.append(lambda model: any(_gated(v, registry) for v in model.versions))
    return tests


def _has_tag(model: Model, tag: str) -> bool:
    return any(each.lower() == tag for each in model.tags)


def _gated(version: Version, registry: Registry) -> bool:
    return version.paid_access is not None and version.paid_access.active(registry.clock())


def _versions(model: Model, asked: Asked) -> list[tuple[int, Version]]:
    """Choose the versions to show: those of the base models and ids that were asked for."""
    return [
        (index, version)
        for index, version in shown_versions(
            model, public_only=asked.ids is None and not asked.username and not asked.favorites
        )
        if (asked.version_ids is None or version.id in asked.version_ids)
        and (not asked.base_models or version.base_model in asked.base_models)
    ]


def _last_version_at(model: Model) -> str:
    return max((v.published_at or v.created_at for v in model.versions), default="")


def _rank(model: Model, sort: str) -> tuple[int, ...]:
    """What a model is sorted by, the least first."""
    if sort in ("Newest", "Oldest"):
        day = int(_last_version_at(model)[:19].translate(_DIGITS_ONLY) or 0)
        return (-day, -model.id) if sort == "Newest" else (day, model.id)
    first, second = {
        "Most Downloaded": (model.downloads, model.thumbs_up),
        "Most Discussed": (model.comments, model.thumbs_up),
        "Most Collected": (model.collected, model.thumbs_up),
        "Most Images": (model.pictures, model.thumbs_up),
    }.get(sort, (model.thumbs_up, model.downloads))
    return (-first, -second, model.id)


_DIGITS_ONLY = str.maketrans("", "", "-T:")


def _cursor(found: list[Model], place: int, asked: Asked) -> str:
    """Return the cursor of the page that begins at `place`: what its first model is sorted by."""
    if asked.text:
        return str(place)
    return "|".join(str(abs(part)) for part in _rank(found[place], asked.sort))


def _position(found: list[Model], asked: Asked) -> int:
    """Find where the cursor's page begins. Raises ValueError for a cursor not given out."""
    cursor = (asked.cursor or "").partition(_AGAIN)[0]
    if not cursor:
        return 0
    if asked.text:
        return int(cursor) if cursor.isdecimal() else 0
    signs = _SIGNS.get(asked.sort, (-1, -1, 1))
    first = tuple(s * int(part) for s, part in zip(signs, cursor.split("|"), strict=True))
    return bisect_left(found, first, key=lambda model: _rank(model, asked.sort))
