"""Searches, creators and groups: every filter, the same search written otherwise, every fault."""

import json

import pytest

from civsync.core.codes import Code
from civsync.core.request import (
    All,
    Count,
    FileSelector,
    Latest,
    Newest,
    Placement,
    Policy,
    Preference,
    Search,
    VersionSpec,
)
from civsync.documents.manifest import read_manifest
from civsync.documents.schema_files import schema_text
from civsync.documents.searches import MOST
from civsync.documents.vocabulary import CHECKPOINT_TYPES, MODEL_TYPES, PERIODS, SORTS
from support.manifest_text import only_entry, problems_of

SEARCH = "version: 1\nsearches:\n  - "
MODEL = "version: 1\nmodels:\n  - "
DEFINITIONS = json.loads(schema_text("manifest"))["$defs"]


def search(text: str) -> Search:
    """Return the search of one item of `searches`."""
    found = only_entry(f"{SEARCH}{text}\n").request.search
    assert found is not None
    return found


def test_a_whole_search_is_read() -> None:
    entry = only_entry(
        """\
version: 1
searches:
  - query: ink drawing
    username: Lykon
    tag: style
    types: [lora, LoCon, Lora]
    base_models: [SDXL 1.0, Pony]
    checkpoint_type: Merge
    sort: Most Downloaded
    period: Month
    nsfw: true
    favorites: true
    limit: 20
    exclude: {models: [7, 3, 7], creators: [zoe, Al], tags: [b, a]}
    versions: 3
    files: [Model]
    prefer: {quant: []}
    directory: "{creator}"
    filename: "x.{ext}"
    groups: [b, a, b]
    priority: 4
    hold: they are fine
    exclude_newer: 2 Weeks
    allow_pickle: true
    allow_unverified: true
"""
    )
    assert entry.request.search == Search(
        query="ink drawing",
        username="Lykon",
        tag="style",
        types=("LORA", "LoCon"),
        base_models=("Pony", "SDXL 1.0"),
        checkpoint_type="Merge",
        sort="Most Downloaded",
        period="Month",
        nsfw=True,
        favorites=True,
        limit=20,
        excluded_models=(3, 7),
        excluded_creators=("Al", "zoe"),
        excluded_tags=("a", "b"),
    )
    assert (entry.request.model_id, entry.request.version) == (None, Count(3))
    assert entry.request.selectors == (FileSelector(type="Model"),)
    assert entry.request.prefer == Preference(quant=())
    assert entry.request.policy == Policy(allow_pickle=True)
    assert entry.request.exclude_newer == "2 weeks"
    assert entry.request.allow_unverified
    assert entry.placement == Placement(directory="{creator}", filename="x.{ext}")
    assert (entry.groups, entry.priority, entry.hold) == (("a", "b"), 4, "they are fine")
    assert str(entry.place) == "civsync.yaml:3:5"
    assert entry.place.key == "searches[0]"


def test_the_least_search_has_good_defaults() -> None:
    entry = only_entry(SEARCH + "{tag: style}\n")
    assert entry.request.search == Search(tag="style", limit=100)
    assert entry.request.version == Latest()
    assert entry.key == "?tag=style"


@pytest.mark.parametrize(
    ("text", "limit"), [("1", 1), ("100", 100), (str(MOST), MOST), ("all", None), ('"all"', None)]
)
def test_a_limit_is_a_number_or_all(text: str, limit: int | None) -> None:
    assert search(f"{{tag: a, limit: {text}}}").limit == limit


@pytest.mark.parametrize(
    ("text", "version"),
    [("latest", Latest()), ("newest", Newest()), ("all", All()), ("1", Count(1)), ("5", Count(5))],
)
def test_versions_are_a_word_or_a_number(text: str, version: VersionSpec) -> None:
    assert only_entry(f"{SEARCH}{{tag: a, versions: {text}}}\n").request.version == version


def test_a_creator_is_short_for_all_that_they_made() -> None:
    short = only_entry(MODEL + "{creator: Lykon, types: [LORA], versions: all, groups: [x]}\n")
    long = only_entry(
        SEARCH + "{username: Lykon, limit: all, types: [LORA], versions: all, groups: [x]}\n"
    )
    assert short.request == long.request
    assert (short.key, short.groups) == (long.key, ("x",))
    assert short.place.key == "models[0]"


def test_a_creator_may_be_limited() -> None:
    found = only_entry(MODEL + "{creator: Lykon, limit: 3, exclude: {tags: [a]}}\n").request.search
    assert found == Search(username="Lykon", limit=3, excluded_tags=("a",))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("types: [LORA, LoCon]", "types: [LoCon, LORA, lora]"),
        ("base_models: [A, B]", "base_models: [B, A]"),
        ("tag: a, nsfw: false", "favorites: false, tag: a"),
        ("tag: a, limit: 5", "tag: a"),
        ("tag: a, exclude: {models: [1]}", "tag: a, versions: all"),
        ("tag: a, groups: [x]", "tag: a, groups: [y]"),
    ],
)
def test_the_same_search_written_otherwise_is_a_duplicate(one: str, other: str) -> None:
    (problem,) = problems_of(f"{SEARCH}{{{one}}}\n  - {{{other}}}\n")
    assert (problem.code, problem.place.line, problem.place.key) == (
        Code.DUPLICATE_ENTRY,
        4,
        "searches[1]",
    )


def test_a_creator_and_a_search_for_them_are_duplicates() -> None:
    (problem,) = problems_of(MODEL + "{creator: a}\nsearches:\n  - {username: a}\n")
    assert problem.message == "`?username=a` is asked for twice: lines 3 and 5"


def test_entries_come_in_their_order_models_first() -> None:
    read = read_manifest("version: 1\nsearches: [{tag: a}]\nmodels: [{creator: b}, {model: 1}]\n")
    assert [entry.key for entry in read.entries] == ["?username=b", "1@latest", "?tag=a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [("[]", ()), ("[b, a, b]", ("a", "b")), ("all", None), ("[all]", ("all",)), ("[2d]", ("2d",))],
)
def test_default_groups_are_names_or_all(text: str, expected: tuple[str, ...] | None) -> None:
    assert read_manifest(f"version: 1\nmodels: []\ndefault_groups: {text}\n").default_groups == (
        expected
    )


def test_no_group_is_a_default() -> None:
    read = read_manifest("version: 1\nmodels: [{model: 1}]\n")
    assert (read.default_groups, read.entries[0].groups) == ((), ())


TOP = "version: 1\nmodels: []\n"


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "key"),
    [
        # searches
        pytest.param(
            TOP + "searches: {}\n", Code.MANIFEST_INVALID, 3, 11, "searches", id="mapping"
        ),
        pytest.param(SEARCH + "style\n", Code.MANIFEST_INVALID, 3, 5, "searches[0]", id="text"),
        pytest.param(SEARCH + "7\n", Code.MANIFEST_INVALID, 3, 5, "searches[0]", id="number"),
        pytest.param(SEARCH + "\n", Code.MANIFEST_INVALID, 3, 4, "searches[0]", id="nothing"),
        pytest.param(SEARCH + "[1]\n", Code.MANIFEST_INVALID, 3, 5, "searches[0]", id="list"),
        pytest.param(SEARCH + "{}\n", Code.MANIFEST_INVALID, 3, 5, "searches[0]", id="empty"),
        pytest.param(
            SEARCH + "{limit: all}\n",
            Code.MANIFEST_INVALID, 3, 5, "searches[0]", id="all that there is",
        ),
        pytest.param(
            SEARCH + "{tags: a, tag: a}\n",
            Code.UNKNOWN_KEY, 3, 6, "searches[0].tags", id="unknown key",
        ),
        pytest.param(
            SEARCH + "{tag: a, model: 1}\n",
            Code.UNKNOWN_KEY, 3, 14, "searches[0].model", id="a model",
        ),
        pytest.param(
            SEARCH + "{tag: a, version: all}\n",
            Code.UNKNOWN_KEY, 3, 14, "searches[0].version", id="version for versions",
        ),
        pytest.param(
            SEARCH + "{query: ''}\n",
            Code.MANIFEST_INVALID, 3, 13, "searches[0].query", id="empty query",
        ),
        pytest.param(
            SEARCH + "{tag: 1990}\n",
            Code.MANIFEST_INVALID, 3, 11, "searches[0].tag", id="number as a tag",
        ),
        pytest.param(
            SEARCH + "{types: LORA}\n",
            Code.MANIFEST_INVALID, 3, 13, "searches[0].types", id="one type, not a list",
        ),
        pytest.param(
            SEARCH + "{types: []}\n",
            Code.MANIFEST_INVALID, 3, 13, "searches[0].types", id="no type at all",
        ),
        pytest.param(
            SEARCH + "{types: [Lora, Lcoon]}\n",
            Code.MANIFEST_INVALID, 3, 20, "searches[0].types[1]", id="type with a slip",
        ),
        pytest.param(
            SEARCH + "{types: [embedding]}\n",
            Code.MANIFEST_INVALID, 3, 14, "searches[0].types[0]", id="type as others call it",
        ),
        pytest.param(
            SEARCH + "{base_models: [1.5]}\n",
            Code.MANIFEST_INVALID, 3, 20, "searches[0].base_models[0]", id="number as a base model",
        ),
        pytest.param(
            SEARCH + "{checkpoint_type: Merged}\n",
            Code.MANIFEST_INVALID, 3, 23, "searches[0].checkpoint_type", id="checkpoint type",
        ),
        pytest.param(
            SEARCH + "{sort: most downloaded}\n",
            Code.MANIFEST_INVALID, 3, 12, "searches[0].sort", id="sort in another case",
        ),
        pytest.param(
            SEARCH + "{sort: 1}\n",
            Code.MANIFEST_INVALID, 3, 12, "searches[0].sort", id="sort as a number",
        ),
        pytest.param(
            SEARCH + "{tag: a, period: All}\n",
            Code.MANIFEST_INVALID, 3, 22, "searches[0].period", id="period with a slip",
        ),
        pytest.param(
            SEARCH + "{tag: a, nsfw: X}\n",
            Code.MANIFEST_INVALID, 3, 20, "searches[0].nsfw", id="rating as a flag",
        ),
        pytest.param(
            SEARCH + "{tag: a, favorites: yes}\n",
            Code.MANIFEST_INVALID, 3, 25, "searches[0].favorites", id="yes is text",
        ),
        pytest.param(
            SEARCH + "{tag: a, limit: 0}\n",
            Code.MANIFEST_INVALID, 3, 21, "searches[0].limit", id="limit 0",
        ),
        pytest.param(
            SEARCH + f"{{tag: a, limit: {MOST + 1}}}\n",
            Code.MANIFEST_INVALID, 3, 21, "searches[0].limit", id="limit too large",
        ),
        pytest.param(
            SEARCH + "{tag: a, limit: many}\n",
            Code.MANIFEST_INVALID, 3, 21, "searches[0].limit", id="limit as a word",
        ),
        pytest.param(
            SEARCH + "{tag: a, limit: '5'}\n",
            Code.MANIFEST_INVALID, 3, 21, "searches[0].limit", id="limit in quotes",
        ),
        pytest.param(
            SEARCH + "{tag: a, limit: 1.5}\n",
            Code.MANIFEST_INVALID, 3, 21, "searches[0].limit", id="half a model",
        ),
        pytest.param(
            SEARCH + "{tag: a, limit: {}}\n",
            Code.MANIFEST_INVALID, 3, 21, "searches[0].limit", id="limit as a mapping",
        ),
        pytest.param(
            SEARCH + "{tag: a, versions: 0}\n",
            Code.MANIFEST_INVALID, 3, 24, "searches[0].versions", id="no version",
        ),
        pytest.param(
            SEARCH + "{tag: a, versions: lastest}\n",
            Code.MANIFEST_INVALID, 3, 24, "searches[0].versions", id="versions with a slip",
        ),
        pytest.param(
            SEARCH + "{tag: a, versions: [latest]}\n",
            Code.MANIFEST_INVALID, 3, 24, "searches[0].versions", id="versions as a list",
        ),
        pytest.param(
            SEARCH + "{tag: a, exclude: [1]}\n",
            Code.MANIFEST_INVALID, 3, 23, "searches[0].exclude", id="exclude as a list",
        ),
        pytest.param(
            SEARCH + "{tag: a, exclude: {}}\n",
            Code.MANIFEST_INVALID, 3, 23, "searches[0].exclude", id="exclude nothing",
        ),
        pytest.param(
            SEARCH + "{tag: a, exclude: {creator: [b]}}\n",
            Code.UNKNOWN_KEY, 3, 24, "searches[0].exclude.creator", id="unknown key of exclude",
        ),
        pytest.param(
            SEARCH + "{tag: a, exclude: {models: [x]}}\n",
            Code.MANIFEST_INVALID, 3, 33, "searches[0].exclude.models[0]", id="exclude no id",
        ),
        pytest.param(
            SEARCH + "{tag: a, directory: ../x}\n",
            Code.BAD_TEMPLATE, 3, 25, "searches[0].directory", id="directory escapes",
        ),
        pytest.param(
            SEARCH + "{tag: a, exclude_newer: soon}\n",
            Code.MANIFEST_INVALID, 3, 29, "searches[0].exclude_newer", id="no age",
        ),
        # creators
        pytest.param(
            MODEL + "{creator: ''}\n",
            Code.MANIFEST_INVALID, 3, 15, "models[0].creator", id="creator without a name",
        ),
        pytest.param(
            MODEL + "{creator: 7}\n",
            Code.MANIFEST_INVALID, 3, 15, "models[0].creator", id="creator as a number",
        ),
        pytest.param(
            MODEL + "{creator: a, model: 1}\n",
            Code.UNKNOWN_KEY, 3, 18, "models[0].model", id="creator and model",
        ),
        pytest.param(
            MODEL + "{creator: a, username: b}\n",
            Code.UNKNOWN_KEY, 3, 18, "models[0].username", id="creator and username",
        ),
        pytest.param(
            MODEL + "{creator: a, version: newest}\n",
            Code.UNKNOWN_KEY, 3, 18, "models[0].version", id="version of a creator",
        ),
        pytest.param(
            MODEL + "{model: 1, types: [LORA]}\n",
            Code.UNKNOWN_KEY, 3, 16, "models[0].types", id="filter without a creator",
        ),
        pytest.param(
            MODEL + "{creator: a, limit: 0}\n",
            Code.MANIFEST_INVALID, 3, 25, "models[0].limit", id="limit 0 of a creator",
        ),
        # groups
        pytest.param(TOP + "groups: [x]\n", Code.UNKNOWN_KEY, 3, 1, "groups", id="groups on top"),
        pytest.param(
            MODEL + "{model: 1, groups: x}\n",
            Code.MANIFEST_INVALID, 3, 24, "models[0].groups", id="one group, not a list",
        ),
        pytest.param(
            MODEL + "{model: 1, groups: [a b]}\n",
            Code.MANIFEST_INVALID, 3, 25, "models[0].groups[0]", id="space in a group",
        ),
        pytest.param(
            MODEL + "{model: 1, groups: [-a]}\n",
            Code.MANIFEST_INVALID, 3, 25, "models[0].groups[0]", id="group like a flag",
        ),
        pytest.param(
            MODEL + '{model: 1, groups: ["a\\n"]}\n',
            Code.MANIFEST_INVALID, 3, 25, "models[0].groups[0]", id="line end in a group",
        ),
        pytest.param(
            MODEL + "{model: 1, groups: ['']}\n",
            Code.MANIFEST_INVALID, 3, 25, "models[0].groups[0]", id="group without a name",
        ),
        pytest.param(
            MODEL + "{model: 1, groups: [1]}\n",
            Code.MANIFEST_INVALID, 3, 25, "models[0].groups[0]", id="group as a number",
        ),
        pytest.param(
            TOP + "default_groups: x\n",
            Code.MANIFEST_INVALID, 3, 17, "default_groups", id="one default group, not a list",
        ),
        pytest.param(
            TOP + "default_groups: true\n",
            Code.MANIFEST_INVALID, 3, 17, "default_groups", id="default groups true",
        ),
        pytest.param(
            TOP + "default_groups: [a/b]\n",
            Code.MANIFEST_INVALID, 3, 18, "default_groups[0]", id="slash in a default group",
        ),
    ],
)  # fmt: skip
def test_bad_input_is_one_clear_problem_where_it_stands(
    text: str, code: Code, line: int, column: int, key: str
) -> None:
    (problem,) = problems_of(text)
    place = problem.place
    assert (problem.code, place.line, place.column, place.key) == (code, line, column, key)
    assert 0 < len(problem.message) < 300


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            SEARCH + "{types: LORA}\n",
            "`types` must be a list, not the text LORA",
            "Write it as a list: [LORA].",
        ),
        (
            SEARCH + "{tag: a, sort: newest}\n",
            f"`sort` must be {', '.join(SORTS[:-1])} or Oldest, not the text newest",
            "Did you mean `Newest`?",
        ),
        (
            SEARCH + "{tag: a, period: Weekly}\n",
            "`period` must be AllTime, Year, Month, Week or Day, not the text Weekly",
            "Did you mean `Week`?",
        ),
        (
            SEARCH + "{tag: a, checkpoint_type: merge}\n",
            "`checkpoint_type` must be Trained or Merge, not the text merge",
            "Did you mean `Merge`?",
        ),
        (
            SEARCH + "{tag: a, versions: lates}\n",
            "`versions` must be latest, newest, all or a number, not the text lates",
            "Did you mean `latest`?",
        ),
        (
            SEARCH + "{tag: a, limit: '5'}\n",
            "`limit` must be a number from 1 to 20000 or all, not the text 5",
            "Write it without quotes.",
        ),
        (
            SEARCH + "{limit: 7}\n",
            "the search has no filter, so it would find whatever is popular",
            "Add `query`, `username`, `tag`, `types`, `base_models`, `sort` or another filter.",
        ),
        (
            MODEL + "{creator: a, version: newest}\n",
            "`version` is not a key of an item with `creator`",
            "Did you mean `versions`?",
        ),
        (
            MODEL + "{model: 1, groups: [a/b]}\n",
            "item 1 of `groups` must be letters, digits, - and _, not the text a/b",
            "It names a group, and begins with a letter or digit.",
        ),
        (
            TOP + "default_groups: none\n",
            "`default_groups` must be a list or all, not the text none",
            "Write it as a list: [none].",
        ),
    ],
)
def test_a_problem_is_said_with_what_is_allowed(text: str, message: str, hint: str) -> None:
    (problem,) = problems_of(text)
    assert (problem.message, problem.hint) == (message, hint)


def words(owner: str, key: str) -> list[str]:
    """Return the words that the schema offers for a key."""
    return list(DEFINITIONS[owner]["properties"][key]["enum"])


def test_the_words_of_searches_are_those_of_the_schema() -> None:
    for owner in ("search", "creator"):
        properties = DEFINITIONS[owner]["properties"]
        assert words(owner, "checkpoint_type") == list(CHECKPOINT_TYPES)
        assert words(owner, "sort") == list(SORTS)
        assert words(owner, "period") == list(PERIODS)
        assert properties["types"]["items"]["anyOf"][0]["enum"] == list(MODEL_TYPES.known)
        assert properties["limit"]["maximum"] == MOST


def test_a_creator_takes_the_keys_of_a_search_but_for_those_that_name_it() -> None:
    ours, theirs = (set(DEFINITIONS[each]["properties"]) for each in ("creator", "search"))
    assert theirs - ours == {"query", "username", "favorites"}
    assert ours - theirs == {"creator"}


@pytest.mark.parametrize("item", ["{username: bob}", "{creator: bob, username: bob}"])
def test_a_username_under_models_leads_to_creator(item: str) -> None:
    problems = problems_of(f"version: 1\nmodels:\n  - {item}\n")

    hints = [each.hint for each in problems if each.code is Code.UNKNOWN_KEY]
    assert hints == ["Write `creator: NAME` alone, or make it an item of `searches`."]
