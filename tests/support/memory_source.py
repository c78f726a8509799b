"""A Source in memory over values of the catalog; it counts what it is asked.

What it shows where follows the real one: the batch endpoints leave out what is in
`hidden`, the endpoint of a version shows its model in part only, a listing for base models
shows versions for these alone, and an address is handed out again until it comes back as
refused.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import anyio.from_thread
import anyio.lowlevel

from civsync.core.catalog import RemoteModel
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError, RegistryError
from civsync.core.lock import LockedFile
from civsync.core.questions import (
    AskModel,
    AskModels,
    AskModelsOfVersions,
    AskOwners,
    AskPage,
    AskVersion,
    Models,
    Owners,
    Page,
    Question,
    QuestionAnswer,
)
from civsync.core.request import Search
from civsync.core.wire import SignedUrl
from civsync.ports import Errand


@dataclass
class MemorySource:
    """Answers from `models`, by id.

    `hidden` ids of models are shown by the single endpoints alone. `failures` maps a
    question, or a file id for `locate`, to the error to raise. `account` None is "no token".
    `favorites` are those of the account; `downloads` put listings in order. Files are at
    `storage`, single ones `elsewhere`, by id; so many `hops` led there.
    """

    models: dict[int, RemoteModel] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)
    failures: dict[Question | int, CivsyncError] = field(default_factory=dict)
    account: str | None = None
    favorites: set[int] = field(default_factory=set)
    downloads: dict[int, int] = field(default_factory=dict)
    storage: str = "https://storage.test"
    hops: int = 0
    elsewhere: dict[int, str] = field(default_factory=dict)
    questions: list[Question] = field(default_factory=list)
    located: Counter[int] = field(default_factory=Counter)
    _urls: dict[tuple[int, int], SignedUrl] = field(default_factory=dict)

    @classmethod
    def of(cls, models: Iterable[RemoteModel]) -> "MemorySource":
        """A source that shows `models`."""
        return cls(models={model.id: model for model in models})

    @property
    def asked(self) -> Mapping[str, int]:
        """How many questions of each kind were asked, by the name of the kind."""
        return Counter(type(question).__name__ for question in self.questions)

    async def answer(self, question: Question) -> QuestionAnswer:
        """See `civsync.ports.Source`."""
        self.questions.append(question)
        await anyio.lowlevel.checkpoint()
        if question in self.failures:
            raise self.failures[question]
        match question:
            case AskModels(ids=ids):
                return Models(tuple(m for m in self._shown() if m.id in ids))
            case AskModelsOfVersions(version_ids=ids):
                parts = (_narrowed(model, ids) for model in self._shown())
                return Models(tuple(part for part in parts if part.versions))
            case AskModel(id=number):
                return Models((self.models[number],) if number in self.models else ())
            case AskVersion(id=number):
                parts = (_narrowed(model, (number,)) for model in self.models.values())
                return Models(tuple(_of_version(part) for part in parts if part.versions))
            case AskOwners(sha256s=sha256s):
                return Owners(self._owners(sha256s))
            case AskPage(search=search, cursor=cursor, size=size):
                return self._page(search, cursor, size)

    def _page(self, search: Search, cursor: str, size: int) -> Page:
        """Show models by downloads or date; the cursor is a place behind signs to be escaped."""
        if search.favorites and self.account is None:
            raise RegistryError(Code.LOGIN_NEEDED, "whose favorites?")
        if any("," in word for word in (*search.types, *search.base_models)):
            raise RegistryError(Code.SEARCH_REFUSED, "no such value")
        creators = {model.creator.casefold() for model in self.models.values()}
        if search.username and search.username.casefold() not in creators:
            return Page((), found=False)
        if search.tag and not any(_has_tag(model, search.tag) for model in self.models.values()):
            raise RegistryError(Code.SEARCH_REFUSED, f"no tag {search.tag!r}")
        hits = sorted(
            (_for_base_models(model, search) for model in self._hits(search)),
            key=lambda model: self._rank(model, search.sort),
        )
        start = int(cursor.rpartition("|")[2] or 0)
        end = start + size
        return Page(tuple(hits[start:end]), cursor=f"&é +|{end}" if end < len(hits) else "")

    def _hits(self, search: Search) -> Iterable[RemoteModel]:
        return (
            model
            for model in self._shown()
            if _is_meant(model, search) and (not search.favorites or model.id in self.favorites)
        )

    def _rank(self, model: RemoteModel, sort: str) -> tuple[int, ...]:
        if sort in ("Newest", "Oldest"):
            date = max((v.published_at or "" for v in model.versions), default="")
            day = int("0" + "".join(filter(str.isdigit, date)))
            return (-day, -model.id) if sort == "Newest" else (day, model.id)
        return (-self.downloads.get(model.id, 0), model.id)

    async def locate(self, file: LockedFile, *, refused: SignedUrl | None = None) -> SignedUrl:
        """See `civsync.ports.Source`."""
        await anyio.lowlevel.checkpoint()
        if file.file_id in self.failures:
            raise self.failures[file.file_id]
        key = (file.source_version_id, file.file_id)
        known = self._urls.get(key)
        if known is not None and known != refused:
            return known
        if any(
            m.mode == "Archived" for m in self.models.values() if _narrowed(m, key[:1]).versions
        ):
            raise RegistryError(Code.ARCHIVED, "the model is archived")
        if not self._lists(*key):
            raise RegistryError(Code.GONE, f"version {key[0]} does not list file {key[1]}")
        self.located[file.file_id] += 1
        count = self.located[file.file_id]
        host = self.elsewhere.get(file.file_id, self.storage)
        url = f"{host}/{key[0]}/{key[1]}?signature={count}"
        self._urls[key] = SignedUrl(url=url, hops=self.hops)
        return self._urls[key]

    def locate_now(self, file: LockedFile, errand: Errand) -> SignedUrl | None:
        """See `civsync.ports.Source`."""
        return anyio.from_thread.run(self.locate, file)

    async def check_login(self) -> str | None:
        """See `civsync.ports.Source`."""
        await anyio.lowlevel.checkpoint()
        return self.account

    def _shown(self) -> Iterable[RemoteModel]:
        return (model for model in self.models.values() if model.id not in self.hidden)

    def _owners(self, sha256s: tuple[str, ...]) -> dict[str, tuple[tuple[int, int], ...]]:
        found: dict[str, set[tuple[int, int]]] = {}
        for model in self.models.values():
            for version in model.versions:
                for file in version.files:
                    # A linked file is shown under this version and belongs to another.
                    if file.sha256 in sha256s and file.sha256 and not file.linked:
                        found.setdefault(file.sha256, set()).add((model.id, version.id))
        return {sha256: tuple(sorted(owners)) for sha256, owners in sorted(found.items())}

    def _lists(self, version_id: int, file_id: int) -> bool:
        return any(
            version.id == version_id and any(file.id == file_id for file in version.files)
            for model in self.models.values()
            for version in model.versions
        )


def _is_meant(model: RemoteModel, search: Search) -> bool:
    return (
        search.username.casefold() in ("", model.creator.casefold())
        and (not search.tag or _has_tag(model, search.tag))
        and (not search.types or model.type in search.types)
        and (
            not search.base_models
            or any(version.base_model in search.base_models for version in model.versions)
        )
        and search.query.casefold() in model.name.casefold()
        and (search.nsfw or any(version.rating in ("", "PG") for version in model.versions))
        and model.mode != "Archived"
    )


def _has_tag(model: RemoteModel, tag: str) -> bool:
    return tag.casefold() in (each.casefold() for each in model.tags)


def _for_base_models(model: RemoteModel, search: Search) -> RemoteModel:
    kept = (v for v in model.versions if v.base_model in search.base_models)
    return replace(model, versions=tuple(kept)) if search.base_models else model


def _narrowed(model: RemoteModel, version_ids: tuple[int, ...]) -> RemoteModel:
    """The model with these versions only, as an answer that was asked for versions shows it."""
    kept = tuple(version for version in model.versions if version.id in version_ids)
    return replace(model, versions=kept, whole=False)


def _of_version(model: RemoteModel) -> RemoteModel:
    """What the endpoint of one version tells of its model."""
    return RemoteModel(
        id=model.id,
        name=model.name,
        type=model.type,
        nsfw=model.nsfw,
        mode=model.mode,
        versions=tuple(replace(version, index=None, vae_id=None) for version in model.versions),
        whole=False,
    )
