"""What every Source promises, held against the twin in memory and against the Civitai
adapter over real sockets to the loopback registry, both showing the same catalog.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, replace

import anyio
import pytest

from civsync.core.catalog import RATINGS, License, RemoteFile, RemoteModel, RemoteVersion, Scan
from civsync.core.codes import Code
from civsync.core.errors import CivsyncError
from civsync.core.events import Event
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath
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
)
from civsync.core.request import Search
from civsync.core.secrets import Token
from civsync.demo.registry import Registry
from civsync.demo.served import serve
from civsync.ports import Source, Transport
from civsync.sources.civitai import CivitaiSource
from civsync.wire.transport import HttpTransport
from support.fake_clock import FakeClock
from support.memory_source import MemorySource

KEY = "0123456789abcdef"
LICENSE = License(commercial=("Image", "Rent"), no_credit=True, derivatives=True)


def _sha256(number: int) -> str:
    return f"{number:064x}"


def _file(number: int, kind: str = "Model", **more: object) -> RemoteFile:
    facts: dict[str, object] = {
        "id": number,
        "name": f"file {number}.safetensors",
        "type": kind,
        "size": number * 100 + 1,
        "format": "SafeTensor",
        "precision": "fp16",
        "size_class": "pruned",
        "hashes": {"BLAKE3": _sha256(number + 7), "SHA256": _sha256(number)},
        "pickle_scan": Scan.SUCCESS,
        "virus_scan": Scan.SUCCESS,
    }
    return RemoteFile(**(facts | more))  # type: ignore[arg-type]  # keywords of RemoteFile


def _version(model_id: int, number: int, index: int, *files: RemoteFile) -> RemoteVersion:
    return RemoteVersion(
        id=number,
        model_id=model_id,
        name=f"v{number}",
        base_model="SDXL 1.0",
        index=index,
        published_at=f"2025-01-{number % 28 + 1:02}T10:00:00Z",
        rating="PG",
        files=files,
    )


PLAIN = RemoteModel(
    id=1,
    name="Plain <name>\x1b[31m",
    type="LORA",
    creator="maker",
    tags=("style", "red"),
    nsfw=True,
    license=LICENSE,
    versions=(
        _version(1, 12, 0, _file(121), _file(122, "VAE"), _file(123, hashes={})),
        _version(1, 11, 1, _file(111, pickle_scan=Scan.DANGER)),
    ),
)
HIDDEN = replace(PLAIN, id=2, name="Hidden", versions=(_version(2, 21, 0, _file(211)),))
ARCHIVED = replace(PLAIN, id=3, name="Archived", mode="Archived", versions=(_version(3, 31, 0),))
TWIN = replace(
    PLAIN,
    id=4,
    name="Same bytes",
    versions=(_version(4, 41, 0, _file(411, hashes={"SHA256": _sha256(111)})),),
)
CATALOG = (PLAIN, HIDDEN, ARCHIVED, TWIN)

_OLD, _NEW = _version(11, 1101, 1, _file(1111)), _version(11, 1102, 0, _file(1112))
OTHER = replace(
    PLAIN, id=11, name="Harbor & Düne|3", creator="Other_Maker", type="Checkpoint",
    tags=("style", "a&b=c|d é"), versions=(_NEW, replace(_OLD, base_model="Pony")),
)  # fmt: skip
MATURE = replace(
    PLAIN, id=12, name="Harbor late", type="VAE", tags=("red",),
    versions=(replace(_version(12, 1201, 0, _file(1211)), rating="X"),),
)  # fmt: skip
LISTED = (*CATALOG, OTHER, MATURE)
DOWNLOADS = {1: 30, 4: 40, 11: 20, 12: 10}
FAVORITES = {4, 12}


def _locked(version_id: int, file_id: int) -> LockedFile:
    return LockedFile(
        path=SafePath("loras/x.safetensors"),
        size=1,
        sha256=_sha256(file_id),
        model_id=1,
        version_id=version_id,
        file_id=file_id,
        name="x.safetensors",
        type="Model",
    )


def _levels(model: RemoteModel) -> int:
    """The bit mask of everything that the model's versions are rated."""
    return sum(1 << RATINGS.index(each) for each in {version.rating for version in model.versions})


def registry_of(models: Iterable[RemoteModel], hidden: set[int]) -> Registry:
    """The loopback registry that shows exactly `models`; `hidden` ones not in batches."""
    registry = Registry(tokens={KEY}, favorites={KEY: FAVORITES})
    for model in models:
        made = registry.add_model(
            model.name,
            id=model.id,
            type=model.type,
            creator=model.creator,
            tags=list(model.tags),
            nsfw=model.nsfw,
            nsfw_level=_levels(model),
            downloads=DOWNLOADS.get(model.id, 0),
            mode=model.mode,
            allow_commercial_use=list(model.license.commercial),
            allow_no_credit=model.license.no_credit,
            allow_derivatives=model.license.derivatives,
            allow_different_license=model.license.different_license,
            hidden_from_batches=model.id in hidden,
        )
        for version in model.versions:
            shown = made.add_version(
                version.name,
                id=version.id,
                base_model=version.base_model,
                published_at=version.published_at,
                nsfw_level=1 << RATINGS.index(version.rating),
            )
            # An archived model shows no files, and a version without any is not shown.
            for file in version.files or (_file(version.id),):
                shown.add_file(
                    file.name,
                    id=file.id,
                    type=file.type,
                    format=file.format,
                    fp=file.precision,
                    size=file.size_class,
                    size_kb=(file.size or 0) / 1024,
                    hashes={kind: digits.upper() for kind, digits in file.hashes.items()},
                    pickle_scan=file.pickle_scan.value,
                    virus_scan=file.virus_scan.value,
                )
    return registry


@dataclass(frozen=True)
class Bench:
    """One implementation: how to open a source, and how often it asked where a file is."""

    open: Callable[[], AbstractAsyncContextManager[Source]]
    located: Callable[[int], int]


@contextmanager
def _memory(models: Iterable[RemoteModel] = CATALOG, *, login: bool) -> Iterator[Bench]:
    twin = MemorySource.of(models)
    twin.hidden.add(HIDDEN.id)
    twin.favorites, twin.downloads = FAVORITES, DOWNLOADS
    twin.account = "demo-user" if login else None

    @asynccontextmanager
    async def opened() -> AsyncIterator[Source]:
        yield twin

    yield Bench(open=opened, located=lambda file_id: twin.located[file_id])


@contextmanager
def _civitai(models: Iterable[RemoteModel] = CATALOG, *, login: bool) -> Iterator[Bench]:
    with serve(registry_of(models, {HIDDEN.id})) as served:

        @asynccontextmanager
        async def opened() -> AsyncIterator[Source]:
            transport = HttpTransport()
            try:
                yield CivitaiSource(
                    transport,
                    FakeClock(),
                    api_url=served.api_url,
                    token=Token(KEY) if login else None,
                    report=_ignore,
                )
            finally:
                await transport.aclose()

        def located(file_id: int) -> int:
            prefix = "/api/download/"
            return sum(
                request.path.startswith(prefix) and f"fileId={file_id}" in request.target
                for request in served.requests
            )

        yield Bench(open=opened, located=located)


def _ignore(event: Event) -> None:
    """Nobody listens."""


_KINDS = {"memory": _memory, "civitai": _civitai}


@pytest.fixture(params=_KINDS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with _KINDS[request.param](login=False) as made:
        yield made


@pytest.fixture(params=_KINDS)
def bench_with_token(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with _KINDS[request.param](login=True) as made:
        yield made


@pytest.fixture(params=_KINDS)
def listing(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with _KINDS[request.param](LISTED, login=False) as made:
        yield made


@pytest.fixture(params=_KINDS)
def listing_with_token(request: pytest.FixtureRequest) -> Iterator[Bench]:
    with _KINDS[request.param](LISTED, login=True) as made:
        yield made


def _run(bench: Bench, work: Callable[[Source], Awaitable[None]]) -> None:
    async def go() -> None:
        async with bench.open() as source:
            await work(source)

    anyio.run(go)


def _ask(bench: Bench, question: Question) -> tuple[RemoteModel, ...]:
    found: list[RemoteModel] = []

    async def work(source: Source) -> None:
        answer = await source.answer(question)
        assert isinstance(answer, Models)
        found.extend(answer.models)

    _run(bench, work)
    return tuple(sorted(found, key=lambda model: model.id))


def _locate_now(source: Source, file: LockedFile, transport: Transport) -> Awaitable[object]:
    return transport.errand(lambda errand: source.locate_now(file, errand))


def test_an_address_found_in_a_thread_is_the_one_that_all_use(bench: Bench) -> None:
    file = _locked(12, 121)

    async def work(source: Source) -> None:
        transport = HttpTransport()
        found = await _locate_now(source, file, transport)
        assert found is not None
        assert await _locate_now(source, file, transport) == found
        assert await source.locate(file) == found
        await transport.aclose()

    _run(bench, work)
    assert bench.located(121) == 1


def test_what_is_not_there_is_asked_for_once_though_its_reason_takes_more(bench: Bench) -> None:
    file = _locked(12, 999)

    async def work(source: Source) -> None:
        transport = HttpTransport()
        codes = []
        for attempt in (_locate_now(source, file, transport), source.locate(file)):
            try:
                assert await attempt is None
            except CivsyncError as error:
                codes.append(error.code)
        # The twin knows the reason at once.
        assert set(codes) == {Code.GONE}
        await transport.aclose()

    _run(bench, work)
    assert bench.located(999) <= 1


def test_a_batch_shows_what_it_shows_whole_and_leaves_the_rest_out(bench: Bench) -> None:
    assert _ask(bench, AskModels((1, 2, 3, 999))) == (PLAIN, ARCHIVED)


def test_an_empty_batch_is_answered(bench: Bench) -> None:
    assert _ask(bench, AskModels(())) == ()


def test_a_single_model_is_shown_also_where_batches_hide_it(bench: Bench) -> None:
    assert _ask(bench, AskModel(1)) == (PLAIN,)
    assert _ask(bench, AskModel(2)) == (HIDDEN,)
    assert _ask(bench, AskModel(999)) == ()


def test_a_batch_of_versions_shows_their_models_with_these_versions_alone(bench: Bench) -> None:
    wanted = replace(PLAIN, versions=PLAIN.versions[1:], whole=False)
    assert _ask(bench, AskModelsOfVersions((11, 21, 999))) == (wanted,)


def test_a_version_is_shown_in_a_part_of_its_model(bench: Bench) -> None:
    for model, version in ((PLAIN, PLAIN.versions[1]), (HIDDEN, HIDDEN.versions[0])):
        (shown,) = _ask(bench, AskVersion(version.id))
        assert (shown.id, shown.name, shown.type) == (model.id, model.name, model.type)
        assert not shown.whole
        (only,) = shown.versions
        assert replace(only, index=version.index, usage_control=None) == version
    assert _ask(bench, AskVersion(999)) == ()


def test_owners_of_known_hashes_are_all_named(bench: Bench) -> None:
    async def work(source: Source) -> None:
        asked = AskOwners((_sha256(111), _sha256(121), _sha256(999)))
        assert await source.answer(asked) == Owners(
            {_sha256(111): ((1, 11), (4, 41)), _sha256(121): ((1, 12),)}
        )
        assert await source.answer(AskOwners(())) == Owners({})

    _run(bench, work)


def test_an_address_is_used_again_until_it_comes_back(bench: Bench) -> None:
    file = _locked(12, 121)

    async def work(source: Source) -> None:
        first = await source.locate(file)
        assert await source.locate(file) == first
        second = await source.locate(file, refused=first)
        assert second != first
        assert await source.locate(file, refused=first) == second
        assert await source.locate(file) == second

    _run(bench, work)
    assert bench.located(121) == 2


def test_each_file_has_its_own_address(bench: Bench) -> None:
    async def work(source: Source) -> None:
        found = [await source.locate(_locked(12, number)) for number in (121, 122)]
        assert found[0] != found[1]

    _run(bench, work)


@pytest.mark.fault("4.2/upstream", "deleted")
@pytest.mark.parametrize(
    ("version_id", "file_id", "code"),
    [(12, 999, Code.GONE), (999, 121, Code.GONE), (11, 121, Code.GONE), (31, 31, Code.ARCHIVED)],
    ids=["no such file", "no such version", "file of another version", "archived"],
)
def test_what_is_not_served_is_refused_with_its_reason(
    bench: Bench, version_id: int, file_id: int, code: Code
) -> None:
    async def work(source: Source) -> None:
        with pytest.raises(CivsyncError) as caught:
            await source.locate(_locked(version_id, file_id))
        assert caught.value.code is code

    _run(bench, work)


def test_without_a_token_there_is_no_account(bench: Bench) -> None:
    async def work(source: Source) -> None:
        assert await source.check_login() is None

    _run(bench, work)


def test_with_a_token_the_account_has_a_name(bench_with_token: Bench) -> None:
    async def work(source: Source) -> None:
        assert await source.check_login() == "demo-user"
        assert await source.check_login() == "demo-user"

    _run(bench_with_token, work)


def test_an_address_does_not_show_itself(bench: Bench) -> None:
    async def work(source: Source) -> None:
        found = await source.locate(_locked(12, 121))
        assert "://" not in repr(found)

    _run(bench, work)


def _pages(bench: Bench, search: Search, size: int) -> list[Page]:
    """Follow a search to its end."""

    async def ask(source: Source) -> list[Page]:
        pages: list[Page] = []
        while not pages or pages[-1].cursor:
            cursor = pages[-1].cursor if pages else ""
            answer = await source.answer(AskPage(search, cursor, size))
            assert isinstance(answer, Page)
            pages.append(answer)
        return pages

    async def work() -> list[Page]:
        async with bench.open() as source:
            return await ask(source)

    return anyio.run(work)


def _found(bench: Bench, search: Search, size: int = 100) -> list[int]:
    return [model.id for page in _pages(bench, search, size) for model in page.models]


@pytest.mark.parametrize("size", [1, 2, 100])
@pytest.mark.parametrize(
    ("sort", "expected"),
    [("Most Downloaded", [4, 1, 11, 12]), ("Newest", [12, 4, 1, 11]), ("Oldest", [11, 1, 4, 12])],
)
def test_cursors_lead_through_a_listing_in_its_order_whatever_the_size_of_a_page(
    listing: Bench, sort: str, expected: list[int], size: int
) -> None:
    search = Search(nsfw=True, sort=sort)
    pages = _pages(listing, search, size)
    assert [model.id for page in pages for model in page.models] == expected
    assert len(pages) == -(-4 // size)
    assert pages[-1].cursor == ""


def test_a_listed_model_is_shown_as_a_batch_shows_it(listing: Bench) -> None:
    [page] = _pages(listing, Search(nsfw=True), 100)
    by_id = {model.id: model for model in page.models}
    assert by_id == {model.id: model for model in (PLAIN, TWIN, OTHER, MATURE)}


SEARCHES = {
    "nothing asked": (Search(), {1, 4, 11}),
    "mature ones too": (Search(nsfw=True), {1, 4, 11, 12}),
    "text": (Search(query="same"), {4}),
    "text that finds nothing": (Search(query="nowhere"), set()),
    "text with signs": (Search(query="& Düne|3"), {11}),
    "a creator": (Search(username="maker"), {1, 4}),
    "a creator in other case": (Search(username="MAKER"), {1, 4}),
    "several types": (Search(types=("VAE", "Checkpoint"), nsfw=True), {11, 12}),
    "a type of nothing": (Search(types=("Poses",)), set()),
    "several base models": (Search(base_models=("Pony", "SDXL 1.0")), {1, 4, 11}),
    "a base model": (Search(base_models=("Pony",)), {11}),
    "a tag": (Search(tag="red"), {1, 4}),
    "a tag in other case": (Search(tag="STYLE"), {1, 4, 11}),
    "a tag of signs": (Search(tag="a&b=c|d é"), {11}),
    "several filters": (Search(username="maker", types=("VAE",), nsfw=True), {12}),
}


@pytest.mark.parametrize(("search", "expected"), SEARCHES.values(), ids=SEARCHES)
def test_a_listing_shows_what_the_filters_let_through(
    listing: Bench, search: Search, expected: set[int]
) -> None:
    assert set(_found(listing, search)) == expected


def test_a_search_for_base_models_shows_versions_for_these_alone(listing: Bench) -> None:
    [page] = _pages(listing, Search(base_models=("Pony",)), 10)
    [model] = page.models
    assert [version.id for version in model.versions] == [1101]


def test_an_unknown_creator_is_an_answer(listing: Bench) -> None:
    assert _pages(listing, Search(username="nobody"), 10) == [Page((), found=False)]


def test_a_creator_whose_name_is_only_alike_is_not_there(listing: Bench) -> None:
    # Civitai looks "ma-ker!" up as "maker".
    assert _pages(listing, Search(username="ma-ker!"), 10) == [Page((), found=False)]


@pytest.mark.parametrize(
    "search",
    [Search(tag="never used"), Search(types=("LORA,VAE",)), Search(base_models=("Pony,SD 1.5",))],
    ids=["a tag that nobody uses", "types in one word", "base models in one word"],
)
def test_what_civitai_would_misunderstand_is_refused(listing: Bench, search: Search) -> None:
    with pytest.raises(CivsyncError) as caught:
        _pages(listing, search, 10)
    assert caught.value.code is Code.SEARCH_REFUSED
    assert not caught.value.retry


def test_favorites_need_a_login(listing: Bench) -> None:
    with pytest.raises(CivsyncError) as caught:
        _pages(listing, Search(favorites=True), 10)
    assert caught.value.code is Code.LOGIN_NEEDED
    assert "favorites" in caught.value.message


def test_favorites_are_those_of_the_account(listing_with_token: Bench) -> None:
    assert _found(listing_with_token, Search(favorites=True)) == [4]
    assert _found(listing_with_token, Search(favorites=True, nsfw=True), 1) == [4, 12]
