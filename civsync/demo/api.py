"""The API origin: routes below `/api`, tokens, and the edge in front of them.

Bodies and caching headers are Civitai's. An invalid token is silently nobody;
only `/me` says so (civitai/civitai: src/server/utils/endpoint-helpers.ts).
"""

import json
import re
from collections.abc import Callable

from civsync.demo import values
from civsync.demo.download import Downloads
from civsync.demo.listing import list_models
from civsync.demo.messages import (
    Reply,
    Request,
    compressed_if_accepted,
    json_reply,
    text_reply,
)
from civsync.demo.registry import File, Model, Registry, Version
from civsync.demo.rules import public_files, shown_alone, shown_by_version_id
from civsync.demo.shapes import Shapes

_PUBLIC = "public, s-maxage=300, stale-while-revalidate=150"
_BY_HASH = "public, s-maxage=3600, stale-while-revalidate=1800"
_PERSONAL = "private, no-cache"
_UNAUTHORIZED = {"error": "Unauthorized"}
_MAX_ID = 2147483647
_MAX_VERSIONS_BY_HASH = 100
_MAX_IDS_BY_HASH = 10_000
_SHA256_DIGITS = 64
_LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in</body></html>"
_EDGE_PAGE = "<!DOCTYPE html><html><head><title>Access denied</title></head></html>"
_MISSING_PAGE = "<!DOCTYPE html><html><head><title>404</title></head></html>"

_MODEL = re.compile(r"/api/v1/models/([^/]+)")
_VERSION = re.compile(r"/api/v1/model-versions/([^/]+)")
_HASH = re.compile(r"/api/v1/model-versions/by-hash/([^/]+)")
_DOWNLOAD = re.compile(r"/api/download/models/([^/]+)")


class Api:
    """Answers what Civitai's own host answers. `address` gives the URL it listens at."""

    def __init__(
        self, registry: Registry, address: Callable[[], str], sign: Callable[[File], str]
    ) -> None:
        self._registry = registry
        self._address = address
        self._downloads = Downloads(registry, sign)

    def answer(self, request: Request) -> Reply:
        """Answer one request, in gzip if that helps."""
        agent = (request.header("user-agent") or "").lower()
        if agent.startswith(self._registry.refused_agents):
            return text_reply(403, _EDGE_PAGE, "text/html")
        reply = self._route(request)
        return compressed_if_accepted(reply, request) if self._registry.gzip_answers else reply

    def _route(self, request: Request) -> Reply:
        token = self._token(request)
        path = request.path
        if route := _DOWNLOAD.fullmatch(path):
            return self._downloads.reply(request, route[1], token)
        if request.method == "POST":
            match path:
                case "/api/v1/model-versions/by-hash":
                    return self._versions_by_hashes(request)
                case "/api/v1/model-versions/by-hash/ids":
                    return self._ids_by_hashes(request)
        if request.method not in ("GET", "HEAD"):
            return json_reply(405, {"error": "Method not allowed"})
        match path:
            case "/api/v1/models":
                return self._list(request, token)
            case "/api/v1/enums":
                return json_reply(200, values.ENUMS, cache=_PUBLIC)
            case "/api/v1/me":
                return self._me(token)
            case "/login":
                return text_reply(200, _LOGIN_PAGE, "text/html")
        if route := _MODEL.fullmatch(path):
            return self._model(route[1])
        if route := _HASH.fullmatch(path):
            return self._version_by_hash(route[1])
        if route := _VERSION.fullmatch(path):
            return self._version(route[1], token)
        return text_reply(404, _MISSING_PAGE, "text/html")

    def _token(self, request: Request) -> str | None:
        """Find a valid token; any Authorization header makes `?token=` void."""
        header = request.header("authorization")
        token = request.first("token") if header is None else header.removeprefix("Bearer ")
        return token if token in self._registry.tokens else None

    @property
    def _shapes(self) -> Shapes:
        return Shapes(self._registry, self._address())

    def _list(self, request: Request, token: str | None) -> Reply:
        if token is None and {"favorites", "hidden"} & request.query.keys():
            return json_reply(401, _UNAUTHORIZED, cache=_PUBLIC)
        reply = list_models(self._registry, self._shapes, request, self._address(), token)
        reply.headers.append(("Cache-Control", _PUBLIC if token is None else _PERSONAL))
        return reply

    def _me(self, token: str | None) -> Reply:
        if token is None:
            return json_reply(401, _UNAUTHORIZED)
        about = {
            "id": 4242,
            "username": "demo-user",
            "tier": "free",
            "status": "active",
            "isMember": False,
            "subscriptions": [],
            "tokenScope": 4,
            "buzzLimit": None,
            "subject": {"type": "apiKey", "id": 1},
        }
        return json_reply(200, about, cache=_PERSONAL)

    def _model(self, text: str) -> Reply:
        number = _id(text)
        if number is None:
            return json_reply(400, {"error": f"Invalid model id: {text}"}, cache=_PUBLIC)
        model = self._registry.models.get(number)
        if model is None or not shown_alone(model):
            return json_reply(404, {"error": f"No model with id {number}"}, cache=_PUBLIC)
        shapes = self._shapes
        return json_reply(200, None, text=shapes.text(shapes.single_model(model)), cache=_PUBLIC)

    def _version(self, text: str, token: str | None) -> Reply:
        cache = _PUBLIC if token is None else _PERSONAL
        number = _id(text)
        if number is None:
            return json_reply(400, {"error": f"Invalid version id: {text}"}, cache=cache)
        found = self._registry.find_version(number)
        if found is None or not shown_by_version_id(*found):
            return json_reply(404, {"error": "Model not found"}, cache=cache)
        if not public_files(found[1]):
            return json_reply(404, {"error": "Missing model file"}, cache=cache)
        return json_reply(200, self._shapes.single_version(*found), cache=cache)

    def _version_by_hash(self, digest: str) -> Reply:
        """Answer with the earliest published version that holds the file."""
        wanted = digest.upper()
        hits = [
            (model, version)
            for model, version, file in self._hashable()
            if wanted in file.shown_hashes.values()
        ]
        if not hits:
            return json_reply(404, {"error": "Model not found"}, cache=_BY_HASH)
        first = min(hits, key=lambda hit: (hit[1].published_at or "", hit[1].id))
        answer = self._shapes.single_version(*first, by_hash=True)
        return json_reply(200, answer, cache=_BY_HASH)

    def _versions_by_hashes(self, request: Request) -> Reply:
        wanted = _hashes(request, _MAX_VERSIONS_BY_HASH)
        if wanted is None:
            return json_reply(400, {"error": {"issues": [{"path": []}]}}, cache=_PUBLIC)
        shapes = self._shapes
        found = [
            shapes.single_version(model, version, by_hash=True)
            for model, version, file in self._hashable()
            if file.shown_hashes.get("SHA256") in wanted
        ]
        return json_reply(200, found, cache=_PUBLIC)

    def _ids_by_hashes(self, request: Request) -> Reply:
        wanted = _hashes(request, _MAX_IDS_BY_HASH)
        if wanted is None:
            return json_reply(400, {"error": {"issues": [{"path": []}]}}, cache=_PUBLIC)
        found = [
            {"modelVersionId": version.id, "modelId": model.id, "hash": digest}
            for model, version, file in self._hashable()
            if (digest := file.shown_hashes.get("SHA256")) in wanted
        ]
        return json_reply(200, found, cache=_PUBLIC)

    def _hashable(self) -> list[tuple[Model, Version, File]]:
        """Give the files that by-hash look-ups may find."""
        return [
            (model, version, file)
            for model, version, file in self._registry.every_file()
            if model.status == "Published"
            and version.status == "Published"
            and file.visibility == "Public"
        ]


def _id(text: str) -> int | None:
    number = int(text) if text.isdecimal() else 0
    return number if 1 <= number <= _MAX_ID else None


def _hashes(request: Request, most: int) -> frozenset[str] | None:
    """Read a JSON array of SHA-256 values; None for anything else."""
    try:
        given = json.loads(request.body)
    except ValueError:
        return None
    if not isinstance(given, list) or len(given) > most:
        return None
    if not all(isinstance(item, str) and len(item) == _SHA256_DIGITS for item in given):
        return None
    return frozenset(item.upper() for item in given)
