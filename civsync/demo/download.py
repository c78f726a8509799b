"""`GET /api/download/models/{versionId}`: may it be sent, and where to.

The order of the checks and the bodies of the refusals are Civitai's
(civitai/civitai: src/pages/api/download/models/[modelVersionId].ts,
src/server/services/file.service.ts); a client has nothing else to tell one
refusal from another.
"""

import threading
from collections.abc import Callable
from urllib.parse import quote

from civsync.demo import values
from civsync.demo.messages import Reply, Request, json_reply, text_reply
from civsync.demo.registry import File, Model, Registry, Version
from civsync.demo.rules import Preference, file_to_send

_NO_STORE = "no-store, max-age=0"
_NOT_FOUND = {"error": "File not found"}
_FORBIDDEN = {"error": "Forbidden"}
_QUOTA = {
    "error": "We have noticed an unusual amount of downloading from your account. "
    "Contact support if you believe this to be a mistake."
}
_DISABLED = {
    "error": "Unauthorized",
    "message": "The creator of this asset has disabled downloads on this file",
}
_LOGIN = {
    "error": "Unauthorized",
    "message": "The creator of this asset requires you to be logged in to download it",
}
_ARCHIVED = {"error": "Model archived, not available for download"}
_NO_GRANT = {"error": "You do not have access to download this file"}
_LONGEST_TEXT = 64


class Downloads:
    """The download route: counts what it gave out, per token, for the quota."""

    def __init__(self, registry: Registry, sign: Callable[[File], str]) -> None:
        self._registry = registry
        self._sign = sign
        self._given: dict[str | None, int] = {}
        self._lock = threading.Lock()

    def reply(self, request: Request, version_id: str, token: str | None) -> Reply:
        """Answer one download call; `token` is a valid one or None."""
        if request.method == "HEAD":  # unreliable on the real site as well (civitai/civitai#881)
            return self._refusal(request, 401, _LOGIN)
        decided = self._decide(request, version_id, token)
        if isinstance(decided, Reply):
            return decided
        with self._lock:
            self._given[token] = self._given.get(token, 0) + 1
        headers = [("Location", self._sign(decided)), ("Cache-Control", _NO_STORE)]
        return Reply(status=307, headers=headers)

    def _decide(self, request: Request, version_id: str, token: str | None) -> Reply | File:
        registry = self._registry
        if registry.address_blocked or token in registry.blocked_tokens:
            return self._refusal(request, 403, _FORBIDDEN)
        quota = registry.download_quota
        if quota is not None and self._given.get(token, 0) >= quota:
            return self._refusal(request, 429, _QUOTA)
        complaint = _complaint(request, version_id)
        if complaint is not None:
            return self._refusal(request, 400, {"error": complaint})
        found = registry.find_version(int(version_id))
        if found is None:
            return self._refusal(request, 404, _NOT_FOUND)
        model, version = found
        refused = self._gate(request, model, version, token)
        if refused is not None:
            return refused
        file = self._choose(request, version)
        if file is None:
            return self._refusal(request, 404, _NOT_FOUND)
        return self._look_up(request, file)

    def _gate(
        self, request: Request, model: Model, version: Version, token: str | None
    ) -> Reply | None:
        """Check who may have the version at all, or None if this caller may."""
        entitled = token in version.entitled
        if model.poi:
            return self._refusal(request, 404, _NOT_FOUND)
        if model.mode == "Archived":
            return self._refusal(request, 410, _ARCHIVED)
        if {model.status, version.status} != {"Published"}:
            return self._refusal(request, 404, _NOT_FOUND)
        if version.usage_control != "Download":
            return self._refusal(request, 401, _DISABLED)
        if token is None and (version.require_auth or self._registry.downloads_need_login):
            return self._refusal(request, 401, _LOGIN)
        gate = version.paid_access
        if gate is not None and gate.active(self._registry.clock()) and not entitled:
            body = {"error": "Early Access"}
            if gate.ends_at is not None:
                body["deadline"] = gate.ends_at
            body["message"] = "This asset is in Early Access. You can use Buzz to unlock it."
            return self._refusal(request, 403, body)
        if "Private" in (model.availability, version.availability) and not entitled:
            private = (403, _NO_GRANT) if token is not None else (401, _LOGIN)
            return self._refusal(request, *private)
        return None

    def _choose(self, request: Request, version: Version) -> File | None:
        file_id = request.first("fileId")
        return file_to_send(
            self._registry,
            version,
            file_id=None if file_id is None else int(file_id),
            file_type=request.first("type"),
            asked=_preference(request),
        )

    def _look_up(self, request: Request, file: File) -> Reply | File:
        """Find the file in storage, which may fail, then see that it is what was meant."""
        with self._lock:
            failing = file.lookup_failures > 0
            file.lookup_failures -= failing
        if failing:
            # The one 404 that should be tried again differs in this header only.
            return self._refusal(request, 404, _NOT_FOUND, cache="private, no-store")
        if request.first("fileId") is None and not _preference(request).met_by(file):
            return self._refusal(request, 404, _NOT_FOUND)
        return file

    def _refusal(
        self, request: Request, status: int, body: dict[str, str], *, cache: str = _NO_STORE
    ) -> Reply:
        if not request.from_browser:
            return json_reply(status, body, cache=cache)
        if status in (401, 403):
            back = f"/login?returnUrl={quote(request.target, safe='')}&reason=download-auth"
            return Reply(status=307, headers=[("Location", back), ("Cache-Control", cache)])
        text = body.get("message", body["error"])
        return text_reply(status, text, "text/plain", ("Cache-Control", cache))


def _preference(request: Request) -> Preference:
    return Preference(
        format=request.first("format"),
        size=request.first("size"),
        fp=request.first("fp"),
        quant=request.first("quantType"),
    )


def _complaint(request: Request, version_id: str) -> str | None:
    """Say what is wrong with the parameters, or None."""
    file_id = request.first("fileId")
    if not version_id.isdecimal() or (file_id is not None and not file_id.isdecimal()):
        return "Invalid input: expected number, received NaN"
    allowed = {
        "type": values.FILE_TYPES,
        "format": values.FILE_FORMATS,
        "size": values.FILE_SIZES,
    }
    for name, choices in allowed.items():
        if request.first(name) not in (None, *choices):
            return f"Invalid option for {name}: expected one of {'|'.join(choices)}"
    for name in ("fp", "quantType"):
        if len(request.first(name) or "") > _LONGEST_TEXT:
            return f"Too big: expected {name} to have at most {_LONGEST_TEXT} characters"
    return None
