"""Two requests are the same exactly if their key and their facts are."""

from dataclasses import fields, replace
from itertools import combinations

import pytest

from civsync.core.request import (
    All,
    ById,
    ByName,
    Count,
    EarlyAccess,
    FileSelector,
    Latest,
    Newest,
    Policy,
    Preference,
    Request,
    Search,
    VersionSpec,
)
from civsync.core.wording import describe_request, entry_key, spell_version
from support.factories import request, search_request


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (request(4384), "4384@latest"),
        (request(4384, "newest"), "4384@newest"),
        (request(4201, 130072), "4201@130072"),
        (request(None, 128713), "@128713"),
        (request(4201, "V5.1"), '4201@"V5.1"'),
        (request(4201, "all"), "4201@all"),
        (replace(request(4201), version=Count(3)), "4201@first 3"),
        (request(58390, "newest", base_model="SD 1.5"), "58390@newest [SD 1.5]"),
        (search_request(Search(types=("LORA",), tag="style")), "?tag=style&types=LORA"),
        (
            search_request(Search(username="a&b=c d", sort="Most Downloaded")),
            "?username=a%26b%3Dc+d&sort=Most+Downloaded",
        ),
        (
            search_request(Search(base_models=("Pony", "SD 1.5"), nsfw=True, favorites=True)),
            "?base_models=Pony&base_models=SD+1.5&nsfw=true&favorites=true",
        ),
        (search_request(Search(query="\u202eé\n")), "?query=%E2%80%AE%C3%A9%0A"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_keys(wanted: Request, expected: str) -> None:
    assert entry_key(wanted) == expected


SEARCH = Search(tag="style")
FILTERS = [
    Search(query="style"),
    Search(username="style"),
    SEARCH,
    Search(types=("style",)),
    Search(base_models=("style",)),
    Search(checkpoint_type="style"),
    Search(sort="style"),
    Search(period="style"),
    Search(tag="style", nsfw=True),
    Search(tag="style", favorites=True),
    Search(tag="style", query="a"),
    Search(tag="style&query=a"),
    Search(types=("a", "b")),
    Search(types=("a&types=b",)),
]
VERSIONS: list[VersionSpec] = [
    Latest(), Newest(), All(), Count(3), Count(30), ById(3), ByName("3"), ByName("latest"),
    ByName("first 3"), ByName("all"),
]  # fmt: skip


def test_no_two_versions_are_spelled_alike() -> None:
    assert len({spell_version(version) for version in VERSIONS}) == len(VERSIONS)


def test_no_two_searches_share_a_key_if_they_find_other_things() -> None:
    assert len({entry_key(search_request(search)) for search in FILTERS}) == len(FILTERS)


@pytest.mark.parametrize(
    "search",
    [
        replace(SEARCH, limit=5),
        replace(SEARCH, excluded_models=(1,)),
        replace(SEARCH, excluded_creators=("a",)),
        replace(SEARCH, excluded_tags=("a",)),
    ],
    ids=["limit", "models", "creators", "tags"],
)
def test_how_much_of_a_search_is_taken_does_not_rename_it(search: Search) -> None:
    assert entry_key(search_request(search)) == entry_key(search_request(SEARCH))
    assert describe_request(search_request(search)) != describe_request(search_request(SEARCH))


def with_files(*selectors: FileSelector) -> Request:
    return request(4, selectors=selectors)


ODD = "a, b; c=d optional"
REQUESTS = [
    request(4),
    request(4, allow_pickle=True),
    request(4, allow_unverified=True),
    request(4, exclude_newer="7 days"),
    request(4, exclude_newer="2026-05-01"),
    request(4, scans=()),
    request(4, scans=("pickle",)),
    *(
        request(4, prefer=replace(Preference(), **{field.name: value}))
        for field in fields(Preference)
        for value in [(), ("x",), ("x", "y"), ("x, y",)]
    ),
    *(
        request(4, policy=policy)
        for policy in [
            Policy(license=("commercial-image",)),
            Policy(license=("commercial-image", "derivatives")),
            Policy(rating="PG"),
            Policy(rating="PG13"),
            Policy(max_size=0),
            Policy(max_size=1),
            Policy(allow_creators=("x",)),
            Policy(allow_creators=("x", "y")),
            Policy(allow_creators=("x, y",)),
            Policy(deny_creators=("x",)),
            Policy(deny_creators=('"x"',)),
            Policy(early_access=EarlyAccess.FAIL),
            Policy(early_access=EarlyAccess.ALLOW),
        ]
    ),
    with_files(FileSelector()),
    with_files(FileSelector(), FileSelector()),
    with_files(FileSelector(optional=True)),
    with_files(FileSelector(name="optional")),
    with_files(FileSelector(name="any")),
    with_files(FileSelector(name=ODD)),
    with_files(FileSelector(name="a"), FileSelector(name="b")),
    with_files(FileSelector(name="a; name=b")),
    with_files(FileSelector(name="a", optional=True)),
    with_files(FileSelector(name="a optional")),
    with_files(FileSelector(type="VAE", name="a")),
    with_files(FileSelector(id=1)),
    with_files(FileSelector(format="1")),
    with_files(FileSelector(precision="1")),
    with_files(FileSelector(quant="1")),
    with_files(FileSelector(size="1")),
    search_request(),
    search_request(versions=Newest()),
    search_request(versions=Count(2)),
    search_request(replace(SEARCH, excluded_models=(1, 2))),
    search_request(replace(SEARCH, excluded_models=(12,))),
    search_request(replace(SEARCH, excluded_tags=("a", "b"))),
    search_request(replace(SEARCH, excluded_tags=("a, b",))),
    search_request(replace(SEARCH, excluded_tags=('"a, b"',))),
    search_request(replace(SEARCH, excluded_creators=("a", "b"))),
    search_request(replace(SEARCH, limit=2)),
]


def test_no_two_requests_have_the_same_facts() -> None:
    facts = [(each, entry_key(each), describe_request(each)) for each in REQUESTS]
    alike = [(left[0], right[0]) for left, right in combinations(facts, 2) if left[1:] == right[1:]]
    assert alike == []


def test_facts_are_sorted_and_say_only_what_is_not_in_the_key() -> None:
    found = describe_request(request(4, "newest", base_model="SD 1.5"))
    assert list(found) == sorted(found)
    assert found == {
        "policy.pickle": "deny",
        "policy.scans": "pickle, virus",
        "prefer.format": "SafeTensor, GGUF",
        "prefer.precision": "fp16, bf16, fp8, fp32",
        "prefer.quant": "Q8_0, Q6_K",
        "prefer.size": "pruned, full",
    }


def test_every_rule_that_is_not_the_default_stands_in_the_facts() -> None:
    policy = Policy(
        allow_pickle=True,
        scans=("virus",),
        license=("commercial-image", "derivatives"),
        rating="PG13",
        max_size=12,
        allow_creators=("ann", "bob"),
        deny_creators=("eve",),
        early_access=EarlyAccess.FAIL,
    )
    found = describe_request(search_request(policy=policy, exclude_newer="7 days"))
    assert {key: value for key, value in found.items() if not key.startswith("prefer.")} == {
        "exclude_newer": "7 days",
        "limit": "all",
        "policy.creators.allow": "ann, bob",
        "policy.creators.deny": "eve",
        "policy.early_access": "fail",
        "policy.license": "commercial-image, derivatives",
        "policy.max_size": "12",
        "policy.nsfw": "PG13",
        "policy.pickle": "allow",
        "policy.scans": "virus",
        "versions": "latest",
    }


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        (FileSelector(), "any"),
        (FileSelector(type="VAE", optional=True), "type=VAE optional"),
        (FileSelector(type="Pruned Model", size="full"), "type=Pruned Model size=full"),
        (FileSelector(name="*.yaml"), "name=*.yaml"),
        (FileSelector(name='say "hi"'), 'name="say \\"hi\\""'),
    ],
    ids=str,
)
def test_words_that_could_be_misread_are_quoted(selector: FileSelector, expected: str) -> None:
    assert describe_request(with_files(selector))["files"] == expected
