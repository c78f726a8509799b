"""Follow searches page by page: which models do they find, in the order of the listing?

A listing is no snapshot: pages overlap, some are empty although more follow, and a cursor
may lead back to where it came from (civitai/civitai#1111, #1372, #1848). What is left out
and how many are wanted is decided here, so that Civitai's own filters need not know it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field

from civsync.core.catalog import RemoteModel
from civsync.core.limits import EMPTY_PAGES, PAGE_MODELS, SEARCH_PAGES
from civsync.core.questions import AskPage, Page
from civsync.core.request import Search
from civsync.core.values import dataclass
from civsync.decide.lookup import Asking, Catalog


@dataclass(frozen=True, slots=True, kw_only=True)
class Hits:
    """What a search found. `more` says that the listing goes on where it was left.

    `known` is false where the creator that it is narrowed to is not there, and `unread` is how
    many models the listing showed that could not be read.
    """

    models: tuple[RemoteModel, ...]
    more: bool = False
    unread: int = 0
    known: bool = True


class _Exclusions:
    """What a search leaves out, prepared for many models."""

    def __init__(self, search: Search) -> None:
        self._models = frozenset(search.excluded_models)
        self._creators = _folded(search.excluded_creators)
        self._tags = _folded(search.excluded_tags)

    def covers(self, model: RemoteModel) -> bool:
        return (
            model.id in self._models
            or not self._creators.isdisjoint(_folded([model.creator]))
            or not self._tags.isdisjoint(_folded(model.tags))
        )


@dataclass(slots=True)
class _Walk:
    """One search under way; `seen` are all models shown, also those left out."""

    search: Search
    exclusions: _Exclusions
    found: dict[int, RemoteModel] = field(default_factory=dict)
    cursor: str = ""
    visited: set[str] = field(default_factory=set)
    pages: int = 0
    idle: int = 0
    unread: int = 0
    known: bool = True
    ended: bool = False
    more: bool = False
    seen: set[int] = field(default_factory=set)

    @property
    def question(self) -> AskPage:
        """The next page; all pages of one search have one size, as its cursors count on."""
        limit = self.search.limit
        size = PAGE_MODELS if limit is None else min(PAGE_MODELS, limit)
        return AskPage(self.search, self.cursor, size)

    def take(self, page: Page) -> None:
        self.pages += 1
        self.known = page.found
        self.unread += page.unread
        before = len(self.seen)
        for model in page.models:
            self.seen.add(model.id)
            if not self.exclusions.covers(model):
                self.found.setdefault(model.id, model)
        self.idle = 0 if len(self.seen) > before else self.idle + 1
        limit = self.search.limit
        full = limit is not None and len(self.found) >= limit
        self.more = bool(page.cursor) or (limit is not None and len(self.found) > limit)
        self.visited.add(self.cursor)
        stuck = page.cursor in self.visited or self.idle >= EMPTY_PAGES
        self.ended = full or stuck or not page.cursor or self.pages >= SEARCH_PAGES
        self.cursor = page.cursor

    def hits(self) -> Hits:
        models = tuple(self.found.values())[: self.search.limit]
        return Hits(models=models, more=self.more, unread=self.unread, known=self.known)


def follow(searches: Mapping[str, Search], catalog: Catalog) -> Asking[Mapping[str, Hits]]:
    """Return what each of `searches` (by key) finds; `catalog` learns all that is shown."""
    walks = {key: _Walk(search, _Exclusions(search)) for key, search in searches.items()}
    while going := [walk for walk in walks.values() if not walk.ended]:
        questions = tuple(walk.question for walk in going)
        answers = yield questions
        for walk, question, answer in zip(going, questions, answers, strict=True):
            if not isinstance(answer, Page):
                raise TypeError(f"{type(answer).__name__} does not answer {question}")
            catalog.learn_models(answer.models)
            walk.take(answer)
    return {key: walk.hits() for key, walk in walks.items()}


def _folded(words: Iterable[str]) -> set[str]:
    return {word.strip().casefold() for word in words}
