"""Included manifests: where they lie, whose word wins, and what they may not say."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from civsync.core.codes import Code
from civsync.core.limits import INCLUDES
from civsync.core.problems import DocumentError
from civsync.core.request import Policy, Preference
from civsync.core.roots import Roots
from civsync.documents.includes import NOT_INCLUDED, IncludeError, include_path
from civsync.documents.manifest import read_head, read_manifest
from support.manifest_text import Folder, problems_of


def manifest(*models: str, include: str = "", head: str = "") -> str:
    """Return the text of a manifest; `include` is the inside of the list."""
    items = "".join(f"  - {model}\n" for model in models) or "  []\n"
    return f"version: 1\n{head}include: [{include}]\nmodels:\n{items}"


def keys_and_documents(text: str, folder: Folder) -> list[tuple[str, str]]:
    """Return the keys of all entries, each with the document that it comes from."""
    entries = read_manifest(text, load=folder.load).entries
    return [(entry.key, entry.place.document) for entry in entries]


@pytest.mark.parametrize(
    ("text", "base", "path"),
    [
        ("a.yaml", "civsync.yaml", "a.yaml"),
        ("./a.yaml", "civsync.yaml", "a.yaml"),
        ("common//a.yaml", "civsync.yaml", "common/a.yaml"),
        ("b.yaml", "common/a.yaml", "common/b.yaml"),
        ("../b.yaml", "common/a.yaml", "b.yaml"),
        ("../b.yaml", "civsync.yaml", "../b.yaml"),
        ("../../b.yaml", "../x/a.yaml", "../../b.yaml"),
        ("x/../../b.yaml", "a.yaml", "../b.yaml"),
        ("x/../b.yaml", "a.yaml", "b.yaml"),
        ("My Models/$HOME.yaml", "a.yaml", "My Models/$HOME.yaml"),
    ],
)
def test_a_path_is_relative_to_the_manifest_that_has_it(text: str, base: str, path: str) -> None:
    assert include_path(text, base=base) == path


@pytest.mark.parametrize(
    "text",
    ["/etc/base.yaml", "~/base.yaml", "~user/base.yaml", "C:/base.yaml", "c:base.yaml",
     "a\\b.yaml", "\\\\host\\a.yaml", "https://example.com/a.yaml", "file:///a.yaml", ".", "..",
     "a/", "a/..", "../", "a\0.yaml", "a\n.yaml", "a\x1b.yaml", "a/" * 600 + "b.yaml",
     "../../etc/passwd", "a.yaml.txt"],
)  # fmt: skip
def test_a_path_that_is_not_relative_or_names_no_file_is_refused(text: str) -> None:
    with pytest.raises(IncludeError) as caught:
        include_path(text, base="civsync.yaml")
    assert len(str(caught.value)) < 200


@given(st.text("ab./", max_size=12).map("{}m.yaml".format), st.text("ab./", max_size=12))
def test_a_path_is_always_in_its_shortest_form(text: str, base: str) -> None:
    try:
        path = include_path(text, base=base)
    except IncludeError:
        return
    parts = path.split("/")
    climbs = parts.count("..")
    assert {"", "."}.isdisjoint(parts)
    assert parts[:climbs] == [".."] * climbs
    assert include_path(path, base="civsync.yaml") == path


def test_entries_of_included_manifests_come_after_ones_own() -> None:
    folder = Folder(
        a=manifest("{model: 2}", include="sub/b.yaml"),
        sub__b=manifest("{model: 3}", "{creator: zoe}"),
        c=manifest("{model: 4}") + "searches: [{tag: x}]\n",
    )
    text = manifest("{model: 1}", include="a.yaml, c.yaml")
    assert keys_and_documents(text, folder) == [
        ("1@latest", "civsync.yaml"),
        ("2@latest", "a.yaml"),
        ("3@latest", "sub/b.yaml"),
        ("?username=zoe", "sub/b.yaml"),
        ("4@latest", "c.yaml"),
        ("?tag=x", "c.yaml"),
    ]
    assert read_manifest(text, load=folder.load).includes == ("a.yaml", "sub/b.yaml", "c.yaml")


def test_a_manifest_may_be_nothing_but_what_it_includes() -> None:
    folder = Folder(a="version: 1\nmodels: [{model: 1}]\n")
    assert keys_and_documents("version: 1\ninclude: [a.yaml]\n", folder) == [("1@latest", "a.yaml")]


def test_a_manifest_without_includes_asks_for_none() -> None:
    folder = Folder()
    assert read_manifest(manifest("{model: 1}"), load=folder.load).includes == ()
    assert folder.asked == []


@pytest.mark.parametrize(
    ("top", "low"),
    [
        ("{model: 1, priority: 1}", "{model: 1, priority: 2}"),
        ("{model: 1, version: 5, priority: 1}", "{version: 5, priority: 2}"),
        ("{creator: a, priority: 1}", "{creator: a, priority: 2, limit: 3}"),
    ],
    ids=["model", "version", "creator"],
)
def test_the_including_manifests_entry_wins(top: str, low: str) -> None:
    read = read_manifest(manifest(top, include="a.yaml"), load=Folder(a=manifest(low)).load)
    assert [entry.priority for entry in read.entries] == [1]


def test_what_is_included_earlier_wins_with_all_that_it_includes() -> None:
    folder = Folder(
        a=manifest("{model: 1, priority: 1}", include="c.yaml"),
        b=manifest("{model: 1, priority: 2}", "{model: 2, priority: 2}"),
        c=manifest("{model: 1, priority: 3}", "{model: 2, priority: 3}"),
    )
    read = read_manifest(manifest(include="a.yaml, b.yaml"), load=folder.load)
    assert [(entry.key, entry.priority) for entry in read.entries] == [
        ("1@latest", 1),
        ("2@latest", 3),
    ]


def test_one_that_is_included_twice_is_read_once() -> None:
    folder = Folder(
        a=manifest(include="c.yaml"), b=manifest(include="./c.yaml"), c=manifest("{model: 1}")
    )
    read = read_manifest(manifest(include="a.yaml, b.yaml, a.yaml"), load=folder.load)
    assert folder.asked == ["a.yaml", "c.yaml", "b.yaml"]
    assert read.includes == ("a.yaml", "c.yaml", "b.yaml")


def test_what_speaks_for_the_whole_holds_for_included_entries() -> None:
    head = "policy: {nsfw: R}\nexclude_newer: 7 days\nprefer: {quant: []}\n"
    folder = Folder(
        a=manifest("{model: 1}", head="prefer: {size: [full]}\n", include="b.yaml"),
        b=manifest("{model: 2, exclude_newer: false}", head="prefer: {precision: [fp32]}\n"),
        c=manifest("{model: 3}"),
    )
    read = read_manifest(manifest(include="a.yaml, c.yaml", head=head), load=folder.load)
    requests = [entry.request for entry in read.entries]
    assert {request.policy for request in requests} == {Policy(rating="R")}
    assert [request.exclude_newer for request in requests] == ["7 days", "", "7 days"]
    assert [request.prefer for request in requests] == [
        Preference(quant=(), size=("full",)),
        Preference(quant=(), size=("full",), precision=("fp32",)),
        Preference(quant=()),
    ]


@pytest.mark.parametrize(
    ("head", "key"),
    [
        ("root: x\n", "root"),
        ("layout: flat\n", "layout"),
        ("layouts: {me: {}}\n", "layouts"),
        ("directories: {VAE: x}\n", "directories"),
        ("policy: {pickle: allow}\n", "policy"),
        ("exclude_newer: false\n", "exclude_newer"),
        ("default_groups: all\n", "default_groups"),
    ],
)
def test_an_included_manifest_cannot_speak_for_the_whole(head: str, key: str) -> None:
    folder = Folder(a=manifest("{model: 1}", head=head))
    (problem,) = problems_of(manifest(include="a.yaml"), load=folder.load)
    place = problem.place
    assert (problem.code, str(place), place.key) == (Code.MANIFEST_INVALID, "a.yaml:2:1", key)
    assert problem.message == f"`{key}` belongs in the manifest that includes this one"
    assert problem.hint == "Move it to civsync.yaml."
    assert key in NOT_INCLUDED


@pytest.mark.parametrize(
    ("include", "message", "column"),
    [
        ("/a.yaml", "'/a.yaml' is not relative to the manifest that includes it", 11),
        ("a/..", "'a/..' names a folder", 11),
        ("z.yaml", "there is no z.yaml", 11),
        ("civsync.yaml", "the includes run in a circle: civsync.yaml -> civsync.yaml", 11),
        ("x/../civsync.yaml", "the includes run in a circle: civsync.yaml -> civsync.yaml", 11),
        ("a.yaml, ok.yaml, z.yaml", "there is no z.yaml", 28),
    ],
    ids=["absolute", "folder", "missing", "itself", "itself by a detour", "third"],
)
def test_what_cannot_be_included_is_one_problem_at_its_item(
    include: str, message: str, column: int
) -> None:
    folder = Folder(a=manifest(), ok=manifest())
    (problem,) = problems_of(manifest(include=include), load=folder.load)
    assert (problem.message, str(problem.place)) == (message, f"civsync.yaml:2:{column}")
    assert problem.place.key.startswith("include[")


@pytest.mark.parametrize(
    ("text", "column", "key"),
    [
        ("include: a.yaml", 10, "include"),
        ("include: [1]", 11, "include[0]"),
        ("include: ['']", 11, "include[0]"),
        ("include: {path: a.yaml}", 10, "include"),
    ],
)
def test_includes_are_a_list_of_texts(text: str, column: int, key: str) -> None:
    (problem,) = problems_of(f"version: 1\n{text}\n", load=Folder(a=manifest()).load)
    place = problem.place
    assert (place.line, place.column, place.key) == (2, column, key)


def test_a_circle_is_refused_with_its_chain() -> None:
    folder = Folder(
        a=manifest(include="x/b.yaml"),
        x__b=manifest(include="c.yaml"),
        x__c=manifest(include="../a.yaml"),
    )
    (problem,) = problems_of(manifest(include="a.yaml"), load=folder.load)
    chain = "a.yaml -> x/b.yaml -> x/c.yaml -> a.yaml"
    assert problem.message == f"the includes run in a circle: {chain}"
    assert str(problem.place) == "x/c.yaml:2:11"


def test_a_link_to_a_folder_of_its_own_does_not_go_on_for_ever() -> None:
    asked: list[str] = []

    def load(path: str) -> bytes:
        asked.append(path)
        return manifest(include="loop/a.yaml").encode()

    (problem,) = problems_of(manifest(include="a.yaml"), load=load)
    assert problem.message == f"more than {INCLUDES} manifests are included"
    assert len(asked) == INCLUDES


def test_a_manifest_that_is_read_alone_includes_nothing() -> None:
    (problem,) = problems_of(manifest(include="a.yaml"))
    assert problem.message == "civsync.yaml is read alone and cannot include anything"


def test_the_problems_of_all_documents_are_reported_together_top_first() -> None:
    folder = Folder(
        a=manifest("{model: 0}", include="b.yaml"),
        b="version: 1\nmodels: [\n",
        c="",
        d="- 1\n",
    )
    problems = problems_of(
        manifest("{model: 0}", include="a.yaml, c.yaml, d.yaml, e.yaml"), load=folder.load
    )
    assert [(problem.place.document, problem.place.line) for problem in problems] == [
        ("civsync.yaml", 2),
        ("civsync.yaml", 4),
        ("a.yaml", 4),
        ("b.yaml", 3),
        ("c.yaml", 1),
        ("d.yaml", 1),
    ]


def test_duplicates_within_an_included_manifest_are_faults() -> None:
    folder = Folder(a=manifest("{model: 1}", "{model: 1}"))
    (problem,) = problems_of(manifest("{model: 1}", include="a.yaml"), load=folder.load)
    assert (problem.code, str(problem.place)) == (Code.DUPLICATE_ENTRY, "a.yaml:5:5")


def test_root_and_default_groups_can_be_read_without_what_is_included() -> None:
    head = "root: x\ndefault_groups: [b, a]\n"
    plain = "version: 1\nmodels: []\n"
    named = Roots(named={"ui": "x/y"})
    assert read_head(manifest(include="a.yaml", head=head)) == (Roots(single="x"), ("a", "b"))
    assert read_head(f"{plain}default_groups: all\n") == (Roots(single="models"), None)
    assert read_head(plain.encode()) == (Roots(single="models"), ())
    assert read_head(f"{plain}roots: {{ui: {{path: x/y}}}}\n") == (named, ())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- 1\n",
        "version: 2\nmodels: []\n",
        "root: [\n",
        "version: 1\nmodels: []\ndefault_groups: x\n",
    ],
)
def test_the_root_of_what_is_no_manifest_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        read_head(text)
