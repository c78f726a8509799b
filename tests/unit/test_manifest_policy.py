"""Policies and cutoffs: what each key allows, and every fault at its place."""

import json

import pytest

from civsync.core.catalog import RATINGS, License
from civsync.core.codes import Code
from civsync.core.request import EarlyAccess, Policy
from civsync.documents.cutoffs import CUTOFF_HINT
from civsync.documents.manifest import read_manifest
from civsync.documents.schema_files import schema_text
from civsync.documents.sizes import SIZE_HINT
from civsync.documents.vocabulary import LICENSES, SCANS
from support.manifest_text import problems_of

TOP = "version: 1\nmodels: [{model: 1}]\n"
ALL_LICENSES = f"{', '.join(LICENSES[:-1])} or no-credit"
SCHEMA = json.loads(schema_text("manifest"))


def policy(text: str) -> Policy:
    """Return the policy that `policy: {text}` gives to an entry."""
    (only,) = read_manifest(f"{TOP}policy: {{{text}}}\n").entries
    return only.request.policy


def cutoff(top: str, own: str = "") -> str:
    """Return the cutoff of an entry, by what the manifest and the entry say."""
    (only,) = read_manifest(f"version: 1\n{top}\nmodels: [{{model: 1{own}}}]\n").entries
    return only.request.exclude_newer


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Policy()),
        ("license: []", Policy()),
        (
            "license: [derivatives, commercial-image, derivatives]",
            Policy(license=("commercial-image", "derivatives")),
        ),
        ("nsfw: PG13", Policy(rating="PG13")),
        ("nsfw: X", Policy(rating="X")),
        ("max_size: 12 GB", Policy(max_size=12_000_000_000)),
        ("max_size: 6.5 GiB", Policy(max_size=6_979_321_856)),
        ("max_size: 1", Policy(max_size=1)),
        ("creators: {allow: [zoe, Al, zoe]}", Policy(allow_creators=("Al", "zoe"))),
        ("creators: {deny: [b, a]}", Policy(deny_creators=("a", "b"))),
        ("early_access: defer", Policy()),
        ("early_access: fail", Policy(early_access=EarlyAccess.FAIL)),
        ("early_access: allow", Policy(early_access=EarlyAccess.ALLOW)),
        ("scans: [virus, pickle]", Policy()),
        ("pickle: allow, scans: []", Policy(allow_pickle=True, scans=())),
    ],
)
def test_every_key_of_a_policy_is_read(text: str, expected: Policy) -> None:
    assert policy(text) == expected


def test_a_policy_holds_for_every_kind_of_entry() -> None:
    read = read_manifest(
        "version: 1\npolicy: {nsfw: R}\nsearches: [{tag: a}]\n"
        "models: [civitai.com/models/1, {model: 2, allow_pickle: true}, {creator: b}]\n"
    )
    assert [entry.request.policy for entry in read.entries] == [
        Policy(rating="R"),
        Policy(rating="R", allow_pickle=True),
        Policy(rating="R"),
        Policy(rating="R"),
    ]


@pytest.mark.parametrize(
    ("top", "own", "expected"),
    [
        ("", "", ""),
        ("exclude_newer: 7 days", "", "7 days"),
        ("exclude_newer: 2026-05-01", "", "2026-05-01"),
        ("exclude_newer: 2026-05-01T12:00:00+02:00", "", "2026-05-01T10:00:00Z"),
        ("exclude_newer: false", "", ""),
        ("", ", exclude_newer: 1 days", "1 day"),
        ("exclude_newer: 7 days", ", exclude_newer: 24 Hours", "24 hours"),
        ("exclude_newer: 7 days", ", exclude_newer: false", ""),
    ],
)
def test_a_cutoff_is_the_entrys_own_or_that_of_the_manifest(
    top: str, own: str, expected: str
) -> None:
    assert cutoff(top, own) == expected


def test_a_link_is_cut_off_as_the_manifest_says() -> None:
    read = read_manifest("version: 1\nexclude_newer: 2 weeks\nmodels: [civitai.com/models/1]\n")
    assert read.entries[0].request.exclude_newer == "2 weeks"


@pytest.mark.parametrize(
    ("text", "column", "key", "code"),
    [
        pytest.param("policy: []", 9, "policy", Code.MANIFEST_INVALID, id="a list"),
        pytest.param("policy: {picle: deny}", 10, "policy.picle", Code.UNKNOWN_KEY, id="key"),
        pytest.param(
            "policy: {license: commercial-image}",
            19, "policy.license", Code.MANIFEST_INVALID, id="one license, not a list",
        ),
        pytest.param(
            "policy: {license: [commercial]}",
            20, "policy.license[0]", Code.MANIFEST_INVALID, id="unknown license",
        ),
        pytest.param(
            "policy: {license: [1]}",
            20, "policy.license[0]", Code.MANIFEST_INVALID, id="license as a number",
        ),
        pytest.param(
            "policy: {nsfw: false}", 16, "policy.nsfw", Code.MANIFEST_INVALID, id="rating as a flag"
        ),
        pytest.param(
            "policy: {nsfw: PG-13}", 16, "policy.nsfw", Code.MANIFEST_INVALID, id="rating"
        ),
        pytest.param(
            "policy: {nsfw: Blocked}", 16, "policy.nsfw", Code.MANIFEST_INVALID, id="blocked"
        ),
        pytest.param(
            "policy: {max_size: 0}", 20, "policy.max_size", Code.MANIFEST_INVALID, id="size 0"
        ),
        pytest.param(
            "policy: {max_size: 1.5}", 20, "policy.max_size", Code.MANIFEST_INVALID, id="half"
        ),
        pytest.param(
            "policy: {max_size: big}", 20, "policy.max_size", Code.MANIFEST_INVALID, id="no size"
        ),
        pytest.param(
            "policy: {max_size: '12'}", 20, "policy.max_size", Code.MANIFEST_INVALID, id="no unit"
        ),
        pytest.param(
            "policy: {creators: [a]}",
            20, "policy.creators", Code.MANIFEST_INVALID, id="creators as a list",
        ),
        pytest.param(
            "policy: {creators: {}}",
            20, "policy.creators", Code.MANIFEST_INVALID, id="creators of neither kind",
        ),
        pytest.param(
            "policy: {creators: {allow: []}}",
            28, "policy.creators.allow", Code.MANIFEST_INVALID, id="no creator allowed",
        ),
        pytest.param(
            "policy: {creators: {block: [a]}}",
            21, "policy.creators.block", Code.UNKNOWN_KEY, id="unknown key of creators",
        ),
        pytest.param(
            "policy: {creators: {allow: [a, B], deny: [b]}}",
            36, "policy.creators.deny", Code.MANIFEST_INVALID, id="allowed and denied",
        ),
        pytest.param(
            "policy: {early_access: deny}",
            24, "policy.early_access", Code.MANIFEST_INVALID, id="early access",
        ),
        pytest.param(
            "exclude_newer: 7", 16, "exclude_newer", Code.MANIFEST_INVALID, id="age without a unit"
        ),
        pytest.param(
            "exclude_newer: true", 16, "exclude_newer", Code.MANIFEST_INVALID, id="cutoff true"
        ),
        pytest.param(
            "exclude_newer: ''", 16, "exclude_newer", Code.MANIFEST_INVALID, id="cutoff empty"
        ),
        pytest.param(
            "exclude_newer: 3 months", 16, "exclude_newer", Code.MANIFEST_INVALID, id="months"
        ),
        pytest.param(
            "exclude_newer: 2026-02-30", 16, "exclude_newer", Code.MANIFEST_INVALID, id="no day"
        ),
        pytest.param(
            "exclude_newer: {days: 7}", 16, "exclude_newer", Code.MANIFEST_INVALID, id="mapping"
        ),
    ],
)  # fmt: skip
def test_a_bad_value_is_one_clear_problem_where_it_stands(
    text: str, column: int, key: str, code: Code
) -> None:
    (problem,) = problems_of(f"{TOP}{text}\n")
    place = problem.place
    assert (problem.code, place.line, place.column, place.key) == (code, 3, column, key)


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (
            "policy: {license: [derivative]}",
            f"item 1 of `license` must be {ALL_LICENSES}, not the text derivative",
            "Did you mean `derivatives`?",
        ),
        (
            "policy: {nsfw: PG-13}",
            "`nsfw` must be PG, PG13, R, X or XXX, not the text PG-13",
            "Did you mean `PG13`?",
        ),
        (
            "policy: {early_access: defered}",
            "`early_access` must be defer, fail or allow, not the text defered",
            "Did you mean `defer`?",
        ),
        (
            "policy: {max_size: 12 gigs}",
            "'12 gigs' is no size",
            SIZE_HINT,
        ),
        (
            "exclude_newer: 3 months",
            "'3 months' is neither an age nor a date",
            CUTOFF_HINT,
        ),
        (
            "exclude_newer: 7",
            "`exclude_newer` must be an age, a date or false, not the number 7",
            CUTOFF_HINT,
        ),
        (
            "policy: {max_size: 6.5}",
            "`max_size` must be a size, not the number 6.5",
            SIZE_HINT,
        ),
        (
            "policy: {creators: {allow: [a], deny: [A]}}",
            "'a' is both allowed and denied",
            "Keep one.",
        ),
    ],
    ids=["license", "rating", "early access", "size", "months", "number", "half", "creators"],
)  # fmt: skip
def test_a_problem_is_said_with_what_is_allowed_here(text: str, message: str, hint: str) -> None:
    (problem,) = problems_of(f"{TOP}{text}\n")
    assert (problem.message, problem.hint) == (message, hint)


def test_the_words_of_policies_are_those_of_the_schema_and_of_the_lock() -> None:
    keys = SCHEMA["$defs"]["policy"]["properties"]
    kinds = License(
        commercial=("Image", "RentCivit", "Rent", "Sell", "None"),
        no_credit=True,
        derivatives=True,
        different_license=True,
    )
    assert keys["license"]["items"]["enum"] == list(LICENSES)
    assert sorted(LICENSES) == list(kinds.words)
    assert keys["nsfw"]["enum"] == list(RATINGS[:-1])
    assert keys["scans"]["items"]["enum"] == list(SCANS)
    assert keys["early_access"]["enum"] == [each.value for each in EarlyAccess]
    assert keys["early_access"]["default"] == Policy().early_access
