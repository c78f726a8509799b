"""Decide what an answer of the API or of the download route means for a person.

Status, content type and body together decide, because one status has several meanings:
a 404 can be "gone" or "try again", a 429 has three causes and a 403 four. Every answer
becomes a value or one error with its own code. No request is made here.

Source of the bodies: civitai/civitai: src/pages/api/download/models/[modelVersionId].ts,
src/server/services/file.service.ts, src/server/utils/endpoint-helpers.ts.
"""

from collections.abc import Mapping
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError, Scalar, WireError
from civsync.core.limits import ANSWER_BYTES, ERROR_BODY_BYTES
from civsync.core.values import dataclass
from civsync.core.wire import HttpAnswer, SignedUrl
from civsync.decide.origins import Origin
from civsync.decide.redirects import Hop, bad_redirect, login_needed, read_location
from civsync.decide.retry import retry_after
from civsync.documents.json_text import JsonTextError, bounded_json

_SHOWN_CHARACTERS: Final = 200
"""How much of a server's text goes into a message."""

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_JSON: Final = frozenset({"application/json", "text/json"})
_PAGES: Final = frozenset({"text/html", "application/xhtml+xml"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfound:
    """A 404 with two meanings: `/model-versions/{id}` tells whether the file is still listed."""

    message: str


def read_json(answer: HttpAnswer, *, cap: int = ANSWER_BYTES) -> object:
    """Return the JSON of a good answer.

    Raises WireError not-json for a page or other text with status 200 (maintenance, a
    login page, a captive portal), reply-malformed for JSON that cannot be read, and what
    `explain_failure` makes of any other status.
    """
    if answer.status != 200:
        raise explain_failure(answer)
    if not _is_json(answer):
        kind = answer.head.media_type or "no content type"
        raise WireError(Code.NOT_JSON, f"the API answered with {_cut(kind)} instead of data")
    try:
        return bounded_json(answer.body, cap=cap)
    except JsonTextError as error:
        raise WireError(Code.REPLY_MALFORMED, f"the API's answer is damaged: {error}") from None


def says_not_found(answer: HttpAnswer) -> bool:
    """Tell whether the API itself says "there is no such thing".

    A 404 that is not JSON comes from a proxy or a wrong address, and proves nothing.
    """
    return answer.status == 404 and bool(_error_body(answer))


def complaint(answer: HttpAnswer) -> str:
    """Return what the API itself says is wrong, cut; "" for a page that somebody else wrote."""
    return _say(_error_body(answer))


def explain_failure(answer: HttpAnswer) -> CivsyncError:
    """Return the error that an answer of the metadata API other than a 200 stands for."""
    said = _error_body(answer)
    text = _say(said) or f"status {answer.status}"
    match answer.status:
        case 401:
            return RegistryError(Code.LOGIN_NEEDED, f"the API wants an account: {text}")
        case 403 if said:
            return RegistryError(Code.ACCESS_DENIED, f"the API refuses: {text}")
        case status if status in _REDIRECTS:
            return bad_redirect("the API redirects instead of answering")
    return _common_failure(answer, said, text)


def read_download_answer(
    answer: HttpAnswer, *, asked: str, api: Origin, token_sent: bool
) -> SignedUrl | Hop | Unfound:
    """Return where the bytes are, or that more must be asked first.

    `asked` is the address that was requested. Raises RegistryError login-needed,
    downloads-disabled, early-access, access-denied, archived, region-blocked or quota, and
    WireError edge-refused, rate-limited, server-error, storage-missing, bad-redirect,
    not-json or reply-malformed.
    """
    if answer.status in _REDIRECTS:
        location = answer.head.header("location")
        return read_location(location, asked=asked, api=api, token_sent=token_sent)
    said = _error_body(answer)
    text = _say(said)
    match answer.status:
        case 200:
            raise _direct(answer, token_sent=token_sent)
        case 401 if "disabled downloads" in text.lower():
            raise RegistryError(Code.DOWNLOADS_DISABLED, text)
        case 401:
            raise login_needed(text or "the download needs an account", token_sent=token_sent)
        case 403 if said.get("error") == "Early Access":
            raise _early_access(said)
        case 403 if said:
            raise RegistryError(Code.ACCESS_DENIED, f"Civitai refuses the download: {text}")
        case 404 if not said:
            pass  # a 404 that the API did not write proves nothing
        case 404 if "private" in answer.head.header("cache-control").lower():
            # The one difference on the wire between a failed look-up and a missing file.
            raise storage_missing()
        case 404:
            return Unfound(message=text)
        case 410:
            raise RegistryError(Code.ARCHIVED, text or "the model is archived")
    raise _common_failure(answer, said, text or f"status {answer.status}")


def storage_missing() -> WireError:
    """Return the error for a listed file that storage does not find just now."""
    return WireError(Code.STORAGE_MISSING, "Civitai's storage did not find the file just now")


def _common_failure(answer: HttpAnswer, said: Mapping[str, object], text: str) -> CivsyncError:
    """Explain what means the same on every route."""
    data: dict[str, Scalar] = {"status": answer.status}
    wait = retry_after(answer.head.headers)
    match answer.status:
        case 403:
            return WireError(
                Code.EDGE_REFUSED,
                "a web page with status 403 came instead of the API's answer",
                data=data,
                retry_after=wait,
            )
        case 429 if "unusual amount of downloading" in text.lower():
            return RegistryError(Code.QUOTA, text, data=data)
        case 429 if "too many pages" in text.lower():
            return WireError(Code.REPLY_MALFORMED, f"the API refuses to page: {text}", data=data)
        case 429:
            return WireError(
                Code.RATE_LIMITED, "the server wants fewer requests", data=data, retry_after=wait
            )
        case 451:
            return RegistryError(Code.REGION_BLOCKED, text, data=data)
        case 408 | 425:
            return WireError(Code.SERVER_ERROR, text, data=data, retry_after=wait)
        case status if status >= 500:
            return WireError(
                Code.SERVER_ERROR,
                f"the server failed with status {status}" + (f": {text}" if said else ""),
                data=data,
                retry_after=wait,
            )
        case status if not said and answer.head.media_type in _PAGES:
            return WireError(
                Code.NOT_JSON,
                f"a web page with status {status} came instead of the API's answer",
                data=data,
            )
        case status:
            return WireError(
                Code.REPLY_MALFORMED,
                f"the API answered with status {status}" + (f": {text}" if said else ""),
                data=data,
            )


def _direct(answer: HttpAnswer, *, token_sent: bool) -> CivsyncError:
    """Explain a 200 of a route that ought to redirect."""
    if answer.head.media_type in _PAGES:
        if not token_sent:
            return login_needed("a web page came instead of the file", token_sent=False)
        return WireError(Code.NOT_JSON, "a web page came instead of the file")
    return bad_redirect("the download route answered with a body instead of a redirect")


def _early_access(said: Mapping[str, object]) -> RegistryError:
    deadline = said.get("deadline")
    until = _cut(deadline) if isinstance(deadline, str) and deadline else None
    when = f"until {until}" if until else "without an end date"
    return RegistryError(
        Code.EARLY_ACCESS,
        f"the version is in early access {when}: {_say(said)}",
        data={"deadline": until},
    )


def _is_json(answer: HttpAnswer) -> bool:
    kind = answer.head.media_type
    return kind in _JSON or kind.endswith("+json")


def _error_body(answer: HttpAnswer) -> Mapping[str, object]:
    """Return the object of a JSON error body; empty for anything else.

    A bare array of issues (errors of inner services) becomes an "error" of its own.
    """
    if not _is_json(answer) or len(answer.body) > ERROR_BODY_BYTES:
        return {}
    try:
        value = bounded_json(answer.body)
    except JsonTextError:
        return {}
    match value:
        case dict():
            return value
        case list():
            return {"error": value}
        case _:
            return {}


def _say(said: Mapping[str, object]) -> str:
    """Return the most telling text of an error body, cut; "" if there is none."""
    for key in ("message", "error"):
        match said.get(key):
            case str(text) if text.strip():
                return _cut(text.strip())
            case dict() | list() as detail if detail:
                return _cut(_issues(detail) or str(detail))
    return ""


def _issues(detail: object) -> str:
    """Return "sort: Invalid option; ..." for the validator's own object, "" if it is another.

    Newer releases of the validator write its list of issues as a text, under `message`.
    """
    match detail:
        case {"issues": list(issues)}:
            pass
        case {"name": "ZodError", "message": str(text)}:
            try:
                return _issues({"issues": bounded_json(text)})
            except JsonTextError:
                return text
        case list(issues):
            pass
        case _:
            return ""
    found = [
        ": ".join([".".join(map(str, where)), said])
        for issue in issues
        if isinstance(issue, dict)
        and isinstance(where := issue.get("path"), list)
        and isinstance(said := issue.get("message"), str)
    ]
    return "; ".join(found)


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"
