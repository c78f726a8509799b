"""What searches find page by page, and what of it is locked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pytest

from civsync.core.catalog import RemoteModel
from civsync.core.codes import Code
from civsync.core.exits import ExitCode
from civsync.core.limits import EMPTY_PAGES, PAGE_MODELS, SEARCH_MODELS, SEARCH_PAGES
from civsync.core.lock import Lock
from civsync.core.questions import AskModels, AskPage, Models, Page, Question, QuestionAnswer
from civsync.core.request import (
    All,
    Count,
    Entry,
    FileSelector,
    Newest,
    Policy,
    Preference,
    Request,
    Search,
    VersionSpec,
)
from civsync.decide.lookup import Asking, Catalog
from civsync.decide.place import place
from civsync.decide.resolve import Resolution, resolve
from civsync.decide.searching import Hits, follow
from support.factories import (
    NOW,
    always,
    entry,
    library,
    manifest,
    remote_file,
    remote_model,
    remote_version,
    request,
    resolved,
    search_request,
    sha256_of,
)

STYLE = Search(tag="style")


def models_of(resolution: Resolution) -> list[int]:
    return [file.model_id for locked in resolution.entries for file in locked.files]


def versions_of(resolution: Resolution) -> list[int]:
    return [file.version_id for locked in resolution.entries for file in locked.files]


def codes_of(resolution: Resolution) -> list[Code]:
    return [error.code for _, error in resolution.failures]


def notes_of(resolution: Resolution) -> list[str]:
    return [note.code for note in resolution.notes]


def some(
    *ids: int, creator: str = "someone", tags: tuple[str, ...] = ("style",)
) -> list[RemoteModel]:
    return [remote_model(number, creator=creator, tags=tags) for number in ids]


def walked(walk: Asking[Mapping[str, Hits]], answer: Callable[[Question], QuestionAnswer]) -> Hits:
    """Walk one search, called "?", to its end."""
    try:
        questions = next(walk)
        while True:
            questions = walk.send(tuple(answer(each) for each in questions))
    except StopIteration as end:
        hits: Hits = end.value["?"]
        return hits


class Listing:
    """A listing that answers from a table: cursor to what stands there."""

    def __init__(self, pages: dict[str, Page]) -> None:
        self.pages = pages
        self.asked: list[AskPage] = []

    def answer(self, question: Question) -> QuestionAnswer:
        assert isinstance(question, AskPage)
        self.asked.append(question)
        return self.pages[question.cursor]

    def hits(self, search: Search) -> Hits:
        return walked(follow({"?": search}, Catalog()), self.answer)

    def ids(self, search: Search) -> list[int]:
        return [model.id for model in self.hits(search).models]


def page(*ids: int, to: str = "") -> Page:
    return Page(tuple(some(*ids)), cursor=to)


class TestPages:
    @pytest.mark.parametrize(
        ("pages", "expected", "asked"),
        [
            ({"": page(3, 1, 2)}, [3, 1, 2], 1),
            ({"": page(1, 2, to="b"), "b": page(3)}, [1, 2, 3], 2),
            ({"": page(1, 2, to="b"), "b": page(2, 3)}, [1, 2, 3], 2),
            ({"": page(1, 1, 2)}, [1, 2], 1),
            ({"": page(1, to="b"), "b": page(to="c"), "c": page(2)}, [1, 2], 3),
            ({"": page(to="b"), "b": page(to="c"), "c": page(2)}, [2], 3),
            ({"": page(1, to="b"), "b": page(2, to="b")}, [1, 2], 2),
            ({"": page(1, to="b"), "b": page(2, to="c"), "c": page(3, to="b")}, [1, 2, 3], 3),
            ({"": page(1, to="b"), "b": page(to="")}, [1], 2),
            ({"": page()}, [], 1),
        ],
        ids=[
            "one", "two", "overlap", "twice on a page", "an empty one between", "empty ones first",
            "a cursor that repeats", "a ring of cursors", "an empty one last", "nothing",
        ],
    )  # fmt: skip
    def test_every_model_is_found_once_in_the_order_of_the_listing(
        self, pages: dict[str, Page], expected: list[int], asked: int
    ) -> None:
        listing = Listing(pages)
        assert listing.ids(STYLE) == expected
        assert len(listing.asked) == asked

    def test_empty_pages_without_end_are_left(self) -> None:
        pages = {str(number or ""): page(to=str(number + 1)) for number in range(1000)}
        listing = Listing(pages)
        assert listing.ids(STYLE) == []
        assert len(listing.asked) == EMPTY_PAGES

    def test_pages_that_repeat_what_was_shown_are_left(self) -> None:
        pages = {str(number or ""): page(1, 2, to=str(number + 1)) for number in range(1000)}
        listing = Listing(pages)
        assert listing.ids(STYLE) == [1, 2]
        assert len(listing.asked) == EMPTY_PAGES + 1

    def test_a_listing_without_end_is_left_and_said_to_go_on(self) -> None:
        pages = {
            str(number or ""): page(number + 1, to=str(number + 1))
            for number in range(SEARCH_PAGES + 9)
        }
        listing = Listing(pages)
        hits = listing.hits(STYLE)
        assert len(listing.asked) == len(hits.models) == SEARCH_PAGES
        assert hits.more

    @pytest.mark.parametrize(
        ("limit", "size", "asked", "found", "more"),
        [
            (1, 1, 1, 1, True),
            (PAGE_MODELS, PAGE_MODELS, 1, PAGE_MODELS, True),
            (PAGE_MODELS + 1, PAGE_MODELS, 2, PAGE_MODELS + 1, True),
            (250, PAGE_MODELS, 3, 250, False),
            (251, PAGE_MODELS, 3, 250, False),
            (None, PAGE_MODELS, 3, 250, False),
        ],
    )
    def test_no_more_is_asked_for_than_is_wanted(
        self, limit: int | None, size: int, asked: int, found: int, more: bool
    ) -> None:
        shown = library(*some(*range(1, 251)))
        search = Search(tag="style", limit=limit)
        hits = walked(follow({"?": search}, Catalog()), shown.answer)
        sizes = {question.size for question in shown.asked if isinstance(question, AskPage)}
        assert (sizes, len(shown.asked)) == ({size}, asked)
        assert (len(hits.models), hits.more) == (found, more)

    def test_searches_are_followed_at_the_same_time(self) -> None:
        searches = {str(n): Search(tag=str(n)) for n in range(5)}
        assert len(next(follow(searches, Catalog()))) == 5

    def test_an_answer_of_the_wrong_kind_is_a_mistake_of_the_source(self) -> None:
        walk = follow({"?": STYLE}, Catalog())
        next(walk)
        with pytest.raises(TypeError):
            walk.send((Models(()),))


class TestExclusions:
    MODELS = (
        *some(1, creator="Ann", tags=("style", "Gothic")),
        *some(2, creator="bob"),
        *some(3, creator="", tags=()),
    )

    @pytest.mark.parametrize(
        ("search", "expected"),
        [
            (Search(excluded_models=(1, 3)), [2]),
            (Search(excluded_creators=("ann",)), [2, 3]),
            (Search(excluded_creators=("ANN ", "Bob")), [3]),
            (Search(excluded_tags=("gothic",)), [2, 3]),
            (Search(excluded_tags=("STYLE",)), [3]),
            (Search(excluded_tags=("goth",)), [1, 2, 3]),
            (Search(excluded_models=(1,), limit=2), [2, 3]),
            (Search(excluded_creators=("ann",), limit=1), [2]),
        ],
        ids=lambda value: repr(value)[-60:],
    )
    def test_what_is_excluded_is_left_out_before_it_is_counted(
        self, search: Search, expected: list[int]
    ) -> None:
        assert Listing({"": Page(self.MODELS)}).ids(search) == expected

    def test_pages_of_excluded_models_are_not_empty_ones(self) -> None:
        pages = {str(n or ""): page(n + 1, to=str(n + 1)) for n in range(EMPTY_PAGES + 5)}
        pages[str(EMPTY_PAGES + 5)] = Page(tuple(some(999, creator="ann")))
        search = Search(excluded_creators=("someone",), limit=5)
        assert Listing(pages).ids(search) == [999]


class TestHits:
    def test_the_best_file_of_every_hit_is_locked_in_the_order_of_ids(self) -> None:
        shown = library(*some(5, 2, 9))
        [locked] = resolved(shown, entry(search_request())).entries
        assert locked.key == "?tag=style"
        assert [file.version_id for file in locked.files] == [21, 51, 91]

    @pytest.mark.parametrize(
        ("versions", "expected"),
        [(None, [42]), (Newest(), [43]), (All(), [40, 41, 42, 43]), (Count(2), [42, 41])],
        ids=["latest", "newest", "all", "first 2"],
    )
    def test_which_versions_of_a_hit(
        self, versions: VersionSpec | None, expected: list[int]
    ) -> None:
        model = remote_model(
            4,
            [
                remote_version(42, published_at="2024-03-01T00:00:00Z"),
                remote_version(41, published_at="2024-02-01T00:00:00Z"),
                remote_version(43, published_at="2024-04-01T00:00:00Z"),
                remote_version(40, published_at="2024-01-01T00:00:00Z"),
            ],
        )
        result = resolved(library(model), entry(search_request(versions=versions)))
        assert sorted(versions_of(result)) == sorted(expected)

    @pytest.mark.parametrize(
        ("versions", "expected"),
        [(None, [41]), (Newest(), [43]), (All(), [41, 43]), (Count(1), [41])],
        ids=["latest", "newest", "all", "first 1"],
    )
    def test_base_models_narrow_the_versions_too(
        self, versions: VersionSpec | None, expected: list[int]
    ) -> None:
        model = remote_model(
            4,
            [
                remote_version(40, base_model="Pony"),
                remote_version(41, base_model="SDXL 1.0"),
                remote_version(43, base_model="SD 1.5", published_at="2025-01-01T00:00:00Z"),
            ],
        )
        search = Search(tag="style", base_models=("SD 1.5", "SDXL 1.0"))
        result = resolved(library(model), entry(search_request(search, versions)))
        assert versions_of(result) == expected

    def test_a_thousand_hits_cost_ten_questions(self) -> None:
        shown = library(*some(*range(1, 1101)))
        wanted = search_request(Search(tag="style", limit=1000))
        result = resolved(shown, entry(wanted))
        assert len(result.entries[0].files) == 1000
        assert len(shown.asked) == 10
        assert all(isinstance(question, AskPage) for question in shown.asked)

    def test_files_are_chosen_as_for_an_entry(self) -> None:
        files = [remote_file(1), remote_file(2, type="VAE")]
        shown = library(remote_model(4, [remote_version(40, files)]))
        selectors = [FileSelector(type="Model"), FileSelector(type="VAE", optional=True)]
        [locked] = resolved(shown, entry(search_request(selectors=selectors))).entries
        assert [file.file_id for file in locked.files] == [1, 2]

    def test_a_search_that_is_cut_by_its_default_says_so(self) -> None:
        shown = library(*some(*range(1, SEARCH_MODELS + 2)))
        cut = resolved(shown, entry(search_request(Search(tag="style", limit=SEARCH_MODELS))))
        assert notes_of(cut) == ["search-cut"]
        asked = resolved(shown, entry(search_request(Search(tag="style", limit=50))))
        assert notes_of(asked) == []

    @pytest.mark.parametrize("limit", [None, 5, SEARCH_MODELS])
    def test_a_search_that_could_not_be_followed_to_its_end_says_so(
        self, limit: int | None
    ) -> None:
        wanted = search_request(Search(tag="style", limit=limit))
        conversation = resolve([entry(wanted)], Lock(), now=NOW)
        next(conversation)
        conversation.send((page(1, to="b"),))
        with pytest.raises(StopIteration) as end:
            conversation.send((page(2, to="b"),))
        assert notes_of(end.value.value) == ["search-cut"]
        assert "did not end after 2 models" in end.value.value.notes[0].message


class TestLeftOut:
    GOOD, BAD = some(1, 2)
    PICKLE = remote_model(3, [remote_version(30, [remote_file(300, "a.pt")])])

    def test_a_hit_that_must_not_be_locked_is_told_with_rule_file_and_line(self) -> None:
        big = remote_model(
            2, [remote_version(20, [remote_file(200, "big.safetensors", size=10**9)])]
        )
        wanted = entry(search_request(policy=Policy(max_size=10**6)))
        result = resolved(library(self.GOOD, big), wanted)
        assert models_of(result) == [1]
        [note] = result.notes
        assert (note.code, note.entry) == ("left-out", "?tag=style")
        for fact in ("policy.max_size", "200 big.safetensors", "left out"):
            assert fact in note.message

    @pytest.mark.parametrize(
        ("model", "says"),
        [
            (PICKLE, "offers only pickles"),
            (remote_model(3, []), "no published version"),
            (remote_model(3, [remote_version(30, [])]), "has no files"),
            (remote_model(3, [remote_version(30, usage_control="Generation")]), "on Civitai only"),
            (remote_model(3, [remote_version(30, [remote_file(300, sha256=None)])]), "no SHA-256"),
            (remote_model(3, mode="Archived"), "is archived"),
        ],
        ids=["pickle", "no versions", "no files", "generation only", "no hash", "archived"],
    )
    def test_one_that_cannot_be_locked_takes_nothing_from_the_others(
        self, model: RemoteModel, says: str
    ) -> None:
        result = resolved(library(self.GOOD, model), entry(search_request()))
        assert models_of(result) == [1]
        assert notes_of(result) == ["left-out"]
        assert says in result.notes[0].message

    def test_where_nothing_is_left_the_search_fails_with_the_reason(self) -> None:
        result = resolved(library(self.PICKLE), entry(search_request()))
        assert (result.entries, codes_of(result)) == ((), [Code.PICKLE_DENIED])

    def test_allow_unverified_counts_for_every_hit(self) -> None:
        unhashed = remote_model(3, [remote_version(30, [remote_file(300, sha256=None)])])
        wanted = entry(search_request(allow_unverified=True))
        [locked] = resolved(library(self.GOOD, unhashed), wanted).entries
        assert [file.sha256 for file in locked.files] == [sha256_of(110), ""]

    def test_one_bad_version_of_several_is_left_out(self) -> None:
        versions = [remote_version(41, [remote_file(1, "a.pt")]), remote_version(40)]
        shown = library(remote_model(4, versions))
        result = resolved(shown, entry(request(4, "all")))
        assert versions_of(result) == [40]
        assert notes_of(result) == ["left-out"]

    def test_changed_content_of_one_hit_is_an_alarm_for_the_search(self) -> None:
        wanted = entry(search_request())
        before = Lock(entries=resolved(library(*some(1, 2)), wanted).entries)
        swapped = remote_model(2, [remote_version(21, [remote_file(210, sha256=sha256_of(7))])])
        result = resolved(library(self.GOOD, swapped), wanted, previous=before, upgrade=always)
        assert codes_of(result) == [Code.CONTENT_CHANGED]
        assert result.entries == before.entries


class TestLocked:
    WANTED = entry(search_request())
    BEFORE = Lock(entries=resolved(library(*some(1, 2, 3)), WANTED).entries)

    def test_a_locked_search_asks_nothing(self) -> None:
        shown = library(*some(4, 5))
        result = resolved(shown, self.WANTED, previous=self.BEFORE)
        assert result.entries == self.BEFORE.entries
        assert shown.asked == []

    def test_an_upgrade_takes_what_the_search_finds_now(self) -> None:
        shown = library(*some(3, 4))
        result = resolved(shown, self.WANTED, previous=self.BEFORE, upgrade=always)
        assert models_of(result) == [3, 4]

    def test_an_upgrade_of_another_entry_leaves_it_alone(self) -> None:
        other = entry(request(9))
        shown = library(*some(4, 9))
        result = resolved(
            shown,
            self.WANTED,
            other,
            previous=self.BEFORE,
            upgrade=lambda each: each.key == other.key,
        )
        assert models_of(result) == [1, 2, 3, 9]

    @pytest.mark.parametrize("upgrade", [True, False], ids=["upgrade", "asked anew"])
    def test_a_search_that_suddenly_finds_nothing_is_refused_and_stays_locked(
        self, upgrade: bool
    ) -> None:
        asked = self.WANTED if upgrade else entry(search_request(Search(tag="style", limit=9)))
        result = resolved(library(), asked, previous=self.BEFORE, upgrade=lambda _: upgrade)
        assert codes_of(result) == [Code.SEARCH_EMPTY]
        assert result.failures[0][1].exit is ExitCode.REFUSED
        assert result.entries == self.BEFORE.entries

    def test_a_search_that_finds_only_what_it_excludes_is_empty_too(self) -> None:
        wanted = search_request(Search(tag="style", excluded_creators=("someone",)))
        result = resolved(library(*some(1, 2)), entry(wanted), previous=self.BEFORE)
        assert codes_of(result) == [Code.SEARCH_EMPTY]

    def test_an_unknown_creator_is_an_error_of_the_manifest(self) -> None:
        result = resolved(library(*some(1)), entry(search_request(Search(username="nobody"))))
        assert codes_of(result) == [Code.UNKNOWN_CREATOR]
        assert result.failures[0][1].exit is ExitCode.INVALID
        assert "'nobody'" in result.failures[0][1].message

    def test_a_creator_who_took_another_name_keeps_what_is_locked(self) -> None:
        wanted = entry(search_request(Search(username="ann")))
        before = Lock(entries=resolved(library(*some(1, creator="ann")), wanted).entries)
        renamed = library(*some(1, creator="anna"))
        result = resolved(renamed, wanted, previous=before, upgrade=always)
        assert result.entries == before.entries
        assert (codes_of(result), notes_of(result)) == ([], ["kept"])

    def test_a_held_search_neither_grows_nor_moves(self) -> None:
        held = replace(self.WANTED, hold="reviewed")
        shown = library(*some(3, 4))
        result = resolved(shown, held, previous=self.BEFORE, upgrade=always)
        assert result.entries == self.BEFORE.entries
        assert shown.asked == []

    def test_an_upgrade_keeps_a_hit_whose_new_version_must_not_be_locked(self) -> None:
        spoiled = remote_model(
            2, [remote_version(22, [remote_file(220, "a.pt")]), remote_version(21)]
        )
        result = resolved(
            library(*some(1), spoiled), self.WANTED, previous=self.BEFORE, upgrade=always
        )
        assert versions_of(result) == [11, 21]
        assert notes_of(result) == ["kept"]


class TestChangedRequest:
    """An edit that does not change what is searched for moves nothing; only upgrades do."""

    OLD = (
        remote_model(1, [remote_version(10)]),
        remote_model(2, [remote_version(20)]),
    )
    NEW = (
        remote_model(2, [remote_version(21), remote_version(20)]),
        remote_model(3, [remote_version(31), remote_version(30)]),
    )
    BEFORE = Lock(entries=resolved(library(*OLD), entry(search_request())).entries)

    @pytest.mark.parametrize(
        "wanted",
        [
            search_request(prefer=Preference(size=("full",))),
            search_request(policy=Policy(max_size=10**9)),
            search_request(exclude_newer="7 days"),
            search_request(allow_unverified=True),
        ],
        ids=["prefer", "policy", "exclude_newer", "allow_unverified"],
    )
    def test_what_was_found_stays_at_its_versions(self, wanted: Request) -> None:
        shown = library(self.OLD[0], *self.NEW)
        result = resolved(shown, entry(wanted), previous=self.BEFORE)
        assert versions_of(result) == [10, 20]
        assert [type(question) for question in shown.asked] == [AskModels]

    @pytest.mark.parametrize(
        "search",
        [Search(tag="style", limit=9), Search(tag="style", excluded_models=(7,))],
        ids=["limit", "exclude"],
    )
    def test_another_search_is_asked_and_keeps_the_versions_of_what_it_still_finds(
        self, search: Search
    ) -> None:
        shown = library(*self.NEW)
        result = resolved(shown, entry(search_request(search)), previous=self.BEFORE)
        assert versions_of(result) == [20, 31]

    def test_a_model_that_cannot_be_seen_any_more_stays(self) -> None:
        wanted = entry(search_request(prefer=Preference(size=("full",))))
        result = resolved(library(self.OLD[0]), wanted, previous=self.BEFORE)
        assert versions_of(result) == [10, 20]
        assert notes_of(result) == ["search-kept", "kept"]

    def test_a_model_that_cannot_be_seen_is_not_kept_against_a_new_rule(self) -> None:
        heavy = remote_model(2, [remote_version(20, [remote_file(200, size=10**9)])])
        before = Lock(
            entries=resolved(library(self.OLD[0], heavy), entry(search_request())).entries
        )
        wanted = entry(search_request(policy=Policy(max_size=10**6)))
        result = resolved(library(self.OLD[0]), wanted, previous=before)
        assert versions_of(result) == [10]
        assert notes_of(result) == ["search-kept", "left-out"]

    def test_another_limit_and_an_upgrade_keep_a_hit_whose_new_version_is_refused(self) -> None:
        spoiled = remote_model(
            2, [remote_version(21, [remote_file(210, "a.pt")]), remote_version(20)]
        )
        wanted = entry(search_request(Search(tag="style", limit=5)))
        result = resolved(
            library(self.OLD[0], spoiled), wanted, previous=self.BEFORE, upgrade=always
        )
        assert versions_of(result) == [10, 20]
        assert notes_of(result) == ["kept"]

    def test_what_a_stricter_policy_refuses_goes(self) -> None:
        heavy = remote_model(2, [remote_version(20, [remote_file(200, size=10**9)])])
        shown = library(self.OLD[0], heavy)
        before = Lock(entries=resolved(shown, entry(search_request())).entries)
        wanted = entry(search_request(policy=Policy(max_size=10**6)))
        result = resolved(shown, wanted, previous=before)
        assert versions_of(result) == [10]
        assert notes_of(result) == ["search-kept", "left-out"]

    def test_what_another_preference_refuses_is_not_kept_against_it(self) -> None:
        gguf = remote_model(1, [remote_version(10, [remote_file(100, "a.gguf", format="GGUF")])])
        shown = library(gguf, self.OLD[1])
        before = Lock(entries=resolved(shown, entry(search_request())).entries)
        assert versions_of(resolved(shown, entry(search_request()))) == [10, 20]
        wanted = entry(search_request(prefer=Preference(format=("GGUF",))))
        result = resolved(shown, wanted, previous=before)
        assert versions_of(result) == [10]
        assert notes_of(result) == ["search-kept", "left-out"]


class TestSameModelTwice:
    SHOWN = library(*some(1, 2))

    def where(self, *wanted: Entry) -> dict[str, list[str]]:
        result = resolved(self.SHOWN, *wanted)
        assert codes_of(result) == []
        placed = place(manifest(*wanted), result.entries)
        return {locked.key: [file.path for file in locked.files] for locked in placed}

    def test_what_an_entry_wants_too_goes_where_the_entry_says(self) -> None:
        found = entry(search_request(), directory="found")
        asked = entry(request(2), directory="asked")
        assert self.where(found, asked) == {
            "?tag=style": ["found/file110.safetensors", "asked/file210.safetensors"],
            "2@latest": ["asked/file210.safetensors"],
        }

    @pytest.mark.parametrize("order", [1, -1], ids=["as written", "the other way round"])
    def test_what_two_searches_find_lies_once(self, order: int) -> None:
        searches: Sequence[Entry] = [
            entry(search_request(), directory="style"),
            entry(search_request(Search(username="someone")), directory="someone"),
        ]
        found = self.where(*searches[::order])
        assert {path for paths in found.values() for path in paths} == {
            "style/file110.safetensors",
            "style/file210.safetensors",
        }

    def test_another_version_of_it_is_another_file(self) -> None:
        found = self.where(entry(search_request()), entry(request(2, 20)))
        assert found["2@20"] == ["checkpoints/file200.safetensors"]
        assert "checkpoints/file210.safetensors" in found["?tag=style"]


def test_a_vae_that_two_versions_share_is_fetched_from_its_owner_for_both() -> None:
    vae = remote_file(9, "vae.safetensors", type="VAE", linked=True)
    versions = [
        remote_version(41, [remote_file(2), vae], vae_id=40),
        remote_version(40, [remote_file(1), replace(vae, linked=False)]),
        remote_version(39, [remote_file(3), vae], vae_id=40),
    ]
    selectors = [FileSelector(type="Model"), FileSelector(type="VAE")]
    wanted = entry(request(4, "all", selectors=selectors))
    [locked] = resolved(library(remote_model(4, versions)), wanted).entries
    sources = {
        file.version_id: file.source_version_id for file in locked.files if file.file_id == 9
    }
    assert sources == {39: 40, 40: 40, 41: 40}


def test_of_a_vae_linked_both_ways_each_version_keeps_the_owner_that_it_names() -> None:
    vae = remote_file(9, "vae.safetensors", type="VAE", linked=True)
    versions = [
        remote_version(41, [remote_file(2), vae], vae_id=40),
        remote_version(40, [remote_file(1), vae], vae_id=40),
    ]
    wanted = entry(request(4, "all", selectors=[FileSelector(type="VAE")]))
    [locked] = resolved(library(remote_model(4, versions)), wanted).entries
    assert [file.owner_version_id for file in locked.files] == [None, 40]
    again = resolved(
        library(remote_model(4, versions)),
        wanted,
        previous=Lock(entries=(locked,)),
        upgrade=always,
    )
    assert again.entries == (locked,)
