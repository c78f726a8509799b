"""Searches as Civitai's listing understands them, and its pages as values.

Only a cursor pages (`page` is accepted and ignored); it is text that the API made, so it is
sent back as it came, to the configured origin, never by following the address that the
answer names. It says what the next page's first model is sorted by, or how many hits of a
text come before, and so fits a page of any size. Words for filters are repeated, because a
comma is refused.

The listing sometimes answers another question than the one asked: a tag that nobody uses
filters nothing at all, and a creator's name is looked up without the signs that none may
hold. Such answers are told by what they show, and are no hits.

With `baseModels` a model is shown with its versions for these alone.

Source: civitai/civitai: src/pages/api/v1/models/index.ts, src/server/schema/model.schema.ts,
src/server/services/model.service.ts, `getModelsRaw`.
"""

from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, urlencode, urlsplit

from civsync.core.catalog import RemoteModel
from civsync.core.codes import Code
from civsync.core.errors import RegistryError, WireError
from civsync.core.questions import AskPage, Page
from civsync.core.request import Search
from civsync.core.wire import HttpAnswer
from civsync.decide.replies import complaint, read_json, says_not_found
from civsync.sources.civitai_fields import whole_text
from civsync.sources.civitai_json import count_models, read_models

_LONGEST_CURSOR: Final = 2000
"""Characters; a real one has about thirty."""

_CHECKPOINT: Final = "Checkpoint"


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
        raise favorites_of_nobody()
    value = read_json(answer, cap=cap)
    models = read_models(value, whole=True)
    if not _are_of(models, search.username):
        return Page((), found=False)
    if not _carry(models, search.tag):
        raise RegistryError(
            Code.SEARCH_REFUSED,
            f"Civitai knows no tag {search.tag!r}, and lists models as if none were asked for",
            hint="Correct the tag; the page of a model shows how it is spelled.",
        )
    return Page(models, cursor=_cursor(value), unread=count_models(value) - len(models))


def favorites_of_nobody() -> RegistryError:
    """Return what is wrong with asking for favorites without saying whose."""
    return RegistryError(
        Code.LOGIN_NEEDED, "the search is for favorites, and Civitai does not know whose"
    )


def _are_of(models: Sequence[RemoteModel], username: str) -> bool:
    """Tell whether models are by the creator that was asked for, as far as they say by whom."""
    creators = {model.creator.casefold() for model in models if model.creator}
    return not username or not creators or username.replace(" ", "_").casefold() in creators


def _carry(models: Sequence[RemoteModel], tag: str) -> bool:
    """Tell whether a page shows that the tag was understood; an empty one does."""
    wanted = tag.casefold()
    return not tag or not models or any(wanted == t.casefold() for m in models for t in m.tags)


def _filters(search: Search) -> list[tuple[str, str]]:
    # The kind of a checkpoint by itself lets everything else through that is none.
    types = search.types or ((_CHECKPOINT,) if search.checkpoint_type else ())
    pairs = [
        ("query", search.query),
        ("username", search.username),
        ("tag", search.tag),
        *(("types", each) for each in types),
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
    """Return the cursor of the next page, "" at the end; older answers give only its address.

    Raises WireError reply-malformed where there is a next page and no telling which: to end
    there would lose hits without a word.
    """
    metadata = value.get("metadata") if isinstance(value, dict) else None
    if not isinstance(metadata, dict):
        return ""
    match metadata.get("nextCursor"), metadata.get("nextPage"):
        case (None | "", None | ""):
            return ""
        case bool(), _:
            found = ""
        case int(number), _:
            found = str(number)
        case (str(found), _) if found:
            pass
        case None | "", str(address):
            found = _cursor_in(address)
        case _:
            found = ""
    if not found or len(found) > _LONGEST_CURSOR or whole_text(found) != found:
        raise WireError(
            Code.REPLY_MALFORMED, "the API's answer does not say how its next page is asked for"
        )
    return found


def _cursor_in(address: str) -> str:
    try:
        return parse_qs(urlsplit(address).query).get("cursor", [""])[-1]
    except ValueError:
        return ""
