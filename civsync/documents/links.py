"""Understand what people paste: links to Civitai's pages and files, and AIRs.

Every host that serves the same ids is taken; only the numbers count. A bare number is
refused, because many numbers are both a model id and a version id. Nothing is looked up.

Sources: civitai/civitai: src/pages/models/[id]/[[...slug]].tsx,
src/pages/api/download/models/[modelVersionId].ts, src/shared/utils/air.ts.
"""

import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from civsync.core.codes import Code
from civsync.core.limits import MAX_ID
from civsync.core.values import dataclass
from civsync.documents.vocabulary import FORMATS, UnknownWordError

HOSTS: Final = ("civitai.com", "civitai.red", "civitai.green")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a link points at. At least one of `model_id` and `version_id` is there.

    The texts are wishes about the file ("" for none): download links carry them in their
    query, an AIR as its ending.
    """

    model_id: int | None = None
    version_id: int | None = None
    file_id: int | None = None
    type: str = ""
    format: str = ""
    precision: str = ""
    size: str = ""


class LinkError(ValueError):
    """A text that points at nothing civsync knows; `code` is BAD_LINK or AMBIGUOUS_ID."""

    def __init__(self, message: str, *, code: Code = Code.BAD_LINK, hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint


def parse_target(text: str) -> Target:
    """Return what a link or an AIR points at. Raises LinkError."""
    text = text.strip()
    if re.fullmatch(r"[0-9]+", text):
        raise ambiguous_number(text)
    if not text.isprintable() or " " in text or len(text) > _LONGEST:
        raise LinkError(f"{_short(text)} is no link")
    if found := _AIR.fullmatch(text):
        return _air(found)
    return _link(text)


def ambiguous_number(digits: str) -> LinkError:
    """Return the error for a bare number, with both readings."""
    shown = digits[:12]
    return LinkError(
        f"{shown} alone may be a model id or a version id",
        code=Code.AMBIGUOUS_ID,
        hint=f"Did you mean `model: {shown}` (the page civitai.com/models/{shown}) or"
        f" `version: {shown}` (the page with ?modelVersionId={shown})?",
    )


_LONGEST: Final = 2000
"""Characters of a link; browsers give up about there."""

_AIR: Final = re.compile(
    r"(?:urn:)?(?:air:)?(?P<ecosystem>[\w.-]+):(?P<type>[\w.-]+):(?P<source>[\w.-]+):"
    r"(?P<model>[^@:+.]+)(?:@(?P<version>[^+.:]+))?(?:\+(?P<file>[^.:]+))?(?:\.(?P<format>\w+))?",
    re.ASCII | re.IGNORECASE,
)

_PATHS: Final = (
    (re.compile(r"(?:api/v1/)?models/(?P<model>[^/]+)(?:/.*)?"), "model"),
    (re.compile(r"(?:api/v1/)?model-versions/(?:mini/)?(?P<version>[^/]+)(?:/.*)?"), "version"),
    (re.compile(r"api/download/models/(?P<version>[^/]+)"), "version"),
)


def _air(found: re.Match[str]) -> Target:
    if found["source"].casefold() != "civitai":
        raise LinkError(
            f"{_short(found[0])} points at {found['source']!r}; only civitai can be synced",
            hint="Use an AIR with `:civitai:`, or remove the entry.",
        )
    return Target(
        model_id=_id(found["model"], "model id"),
        version_id=_id(found["version"], "version id") if found["version"] else None,
        file_id=_id(found["file"], "file id") if found["file"] else None,
        format=_format(found["format"] or ""),
    )


def _link(text: str) -> Target:
    address = text if "://" in text else "https://" + text.removeprefix("//")
    try:
        parts = urlsplit(address)
        host = (parts.hostname or "").removeprefix("www.")
    except ValueError as error:
        raise LinkError(f"{_short(text)} is no link") from error
    if "@" in parts.netloc:
        # Unshown: it may be a password, and this text goes into logs.
        raise LinkError("the link carries a name or a password", hint="Leave out all up to the @.")
    if parts.scheme not in ("http", "https") or host not in HOSTS:
        raise LinkError(f"{_short(text)} is neither a link to Civitai nor an AIR")
    path = parts.path.strip("/")
    query = parse_qs(parts.query, max_num_fields=50) if parts.query.count("&") < 50 else {}
    for pattern, kind in _PATHS:
        if found := pattern.fullmatch(path):
            return _page(found[kind], kind, query)
    raise LinkError(f"{_short(text)} is no page of a model or a version")


def _page(number: str, kind: str, query: dict[str, list[str]]) -> Target:
    model_id = version_id = None
    if kind == "model":
        model_id = _id(number, "model id")
        if asked := _one(query, "modelVersionId"):
            version_id = _id(asked, "version id")
    else:
        version_id = _id(number, "version id")
    file_id = _one(query, "fileId")
    return Target(
        model_id=model_id,
        version_id=version_id,
        file_id=_id(file_id, "file id") if file_id else None,
        type=_one(query, "type"),
        format=_format(_one(query, "format")),
        precision=_one(query, "fp"),
        size=_one(query, "size"),
    )


def _one(query: dict[str, list[str]], name: str) -> str:
    values = set(query.get(name, ()))
    if len(values) > 1:
        raise LinkError(f"the link has {name} more than once")
    return values.pop() if values else ""


def _id(text: str, what: str) -> int:
    if re.fullmatch(r"[0-9]{1,10}", text) and 1 <= int(text) <= MAX_ID:
        return int(text)
    raise LinkError(f"{_short(text)} is no {what}")


def _format(word: str) -> str:
    try:
        return FORMATS.canonical(word)
    except UnknownWordError as error:
        raise LinkError(
            f"{_short(word)} is no file format", hint=f"Did you mean {error.meant}?"
        ) from error


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else text[:79] + "…")
