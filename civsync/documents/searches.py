"""Read one item under `searches:`, and `creator:` under `models:`, which is short for one.

The order of a list of filters says nothing, so it is not kept: the same search written
otherwise is the same entry. What a search finds is for the resolver.
"""

from typing import Final

from civsync.core.codes import Code
from civsync.core.limits import PAGE_MODELS, SEARCH_MODELS, SEARCH_PAGES
from civsync.core.request import All, Count, Entry, Latest, Newest, Search, VersionSpec
from civsync.documents.findings import Findings, flag_of, integer_of, integers_of, text_of, texts_of
from civsync.documents.hints import did_you_mean
from civsync.documents.nodes import Mapping, Node, Sequence
from civsync.documents.preferences import read_word
from civsync.documents.terms import Defaults, distinct, read_terms
from civsync.documents.vocabulary import MODEL_TYPES

MOST: Final = PAGE_MODELS * SEARCH_PAGES
"""The greatest `limit`."""

FILTERS: Final = frozenset(
    {
        "query", "username", "tag", "types", "base_models", "checkpoint_type", "sort", "period",
        "nsfw", "favorites",
    }
)  # fmt: skip
"""Keys that say what is found."""


def read_search(node: Node, key: str, defaults: Defaults, findings: Findings) -> Entry | None:
    """Return the entry of an item of `searches`, or None where it asks for nothing."""
    if not isinstance(node, Mapping):
        return None
    search = _search(node, key, text_of(node.get("username")) or "", SEARCH_MODELS, findings)
    entry = _entry(node, key, search, defaults, findings)
    if node.pairs and FILTERS.isdisjoint(pair.key for pair in node.pairs):
        message = "the search has no filter, so it would find whatever is popular"
        hint = "Add `query`, `username`, `tag`, `types`, `base_models`, `sort` or another filter."
        findings.add(Code.MANIFEST_INVALID, message, node, key, hint)
    return entry


def read_creator(node: Mapping, key: str, defaults: Defaults, findings: Findings) -> Entry:
    """Return the entry of an item of `models` that names a creator: all that they made."""
    search = _search(node, key, text_of(node.get("creator")) or "", None, findings)
    return _entry(node, key, search, defaults, findings)


def _entry(
    node: Mapping, key: str, search: Search, defaults: Defaults, findings: Findings
) -> Entry:
    terms = read_terms(node, key, defaults, findings)
    version = _versions(node.get("versions"), f"{key}.versions", findings)
    return terms.entry(findings.place(node, key), version=version, search=search)


def _search(node: Mapping, key: str, username: str, most: int | None, findings: Findings) -> Search:
    exclude = node.get("exclude")
    excluded = exclude if isinstance(exclude, Mapping) else None
    return Search(
        query=text_of(node.get("query")) or "",
        username=username,
        tag=text_of(node.get("tag")) or "",
        types=_types(node.get("types"), f"{key}.types", findings),
        base_models=distinct(texts_of(node.get("base_models"))),
        checkpoint_type=text_of(node.get("checkpoint_type")) or "",
        sort=text_of(node.get("sort")) or "",
        period=text_of(node.get("period")) or "",
        nsfw=flag_of(node.get("nsfw")) or False,
        favorites=flag_of(node.get("favorites")) or False,
        limit=_limit(node.get("limit"), f"{key}.limit", findings, most),
        excluded_models=tuple(sorted(set(integers_of(excluded and excluded.get("models"))))),
        excluded_creators=distinct(texts_of(excluded and excluded.get("creators"))),
        excluded_tags=distinct(texts_of(excluded and excluded.get("tags"))),
    )


def _types(node: Node | None, key: str, findings: Findings) -> tuple[str, ...]:
    items = node.items if isinstance(node, Sequence) else ()
    words = (
        read_word(item, f"{key}[{index}]", findings, MODEL_TYPES)
        for index, item in enumerate(items)
    )
    return distinct(word for word in words if word)


def _limit(node: Node | None, key: str, findings: Findings, most: int | None) -> int | None:
    """Return how many models are taken, None for all; `most` without the key."""
    if (number := integer_of(node)) is not None:
        return number
    text = text_of(node)
    if node is None or text is None:
        return most
    if text and text != "all":
        message = f"`limit` must be a number from 1 to {MOST} or all, not the text {text[:40]}"
        findings.add(Code.MANIFEST_INVALID, message, node, key, _unquote(text, ("all",)))
    return None


def _versions(node: Node | None, key: str, findings: Findings) -> VersionSpec:
    """Return which versions of each hit are meant: "latest" without the key."""
    if (number := integer_of(node)) is not None:
        return Count(number)
    known: dict[str, VersionSpec] = {"latest": Latest(), "newest": Newest(), "all": All()}
    text = text_of(node)
    if node is not None and text and text not in known:
        message = f"`versions` must be {', '.join(known)} or a number, not the text {text[:40]}"
        findings.add(Code.MANIFEST_INVALID, message, node, key, _unquote(text, tuple(known)))
    return known.get(text or "latest", Latest())


def _unquote(text: str, known: tuple[str, ...]) -> str:
    return "Write it without quotes." if text.isdecimal() else did_you_mean(text, known)
