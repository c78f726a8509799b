"""Searches as Civitai's listing understands them, and its pages as values.

Only a cursor pages (`page` is accepted and ignored); it is text that the API made, so it is
sent back as it came, to the configured origin, never by following the address that the
answer names. Words for filters are repeated, because a comma is refused.

Source: civitai/civitai: src/pages/api/v1/models/index.ts, src/server/schema/model.schema.ts.
"""

from urllib.parse import parse_qs, urlencode, urlsplit

from civsync.core.codes import Code
from civsync.core.errors import RegistryError
from civsync.core.questions import AskPage, Page
from civsync.core.request import Search
from civsync.core.wire import HttpAnswer
from civsync.decide.replies import complaint, read_json, says_not_found
from civsync.sources.civitai_json import read_models

_LONGEST_CURSOR = 2000
"""Characters; a real one has about thirty."""


def page_path(question: AskPage) -> str:
    """Return what to ask for one page, with its query."""
    pairs = [*_filters(question.search), ("limit", str(question.size))]
    if question.cursor:
        pairs.append(("cursor", question.cursor))
    return f"/api/v1/models?{urlencode(pairs)}"


def read_page(answer: HttpAnswer, search: Search, *, cap: int) -> Page:
    """Return the page that `answer` holds.

    Raises RegistryError login-needed or search-refused, and what a malformed answer raises.
    """
    if search.username and says_not_found(answer):
        return Page((), found=False)
    if answer.status == 400 and (said := complaint(answer)):
        raise RegistryError(Code.SEARCH_REFUSED, f"Civitai refuses the search: {said}")
    if answer.status == 401 and search.favorites:
        raise RegistryError(
            Code.LOGIN_NEEDED, "the search is for favorites, and Civitai does not know whose"
        )
    value = read_json(answer, cap=cap)
    return Page(read_models(value, whole=True), cursor=_cursor(value))


def _filters(search: Search) -> list[tuple[str, str]]:
    pairs = [
        ("query", search.query),
        ("username", search.username),
        ("tag", search.tag),
        *(("types", each) for each in search.types),
        *(("baseModels", each) for each in search.base_models),
        ("checkpointType", search.checkpoint_type),
        ("sort", search.sort),
        ("period", search.period),
        # The mere presence of these switches them on.
        ("nsfw", "true" if search.nsfw else ""),
        ("favorites", "true" if search.favorites else ""),
    ]
    return [(name, value) for name, value in pairs if value]


def _cursor(value: object) -> str:
    """Return the cursor of the next page, "" at the end; older answers give only its address."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict):
        return ""
    match metadata.get("nextCursor"):
        case bool():
            return ""
        case int(number):
            return str(number)
        case str(text) if text:
            return text if len(text) <= _LONGEST_CURSOR else ""
    address = metadata.get("nextPage")
    if not isinstance(address, str):
        return ""
    try:
        found = parse_qs(urlsplit(address).query).get("cursor", [""])[-1]
    except ValueError:
        return ""
    return found if len(found) <= _LONGEST_CURSOR else ""
