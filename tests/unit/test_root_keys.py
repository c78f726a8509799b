"""`roots` of a manifest: what it may say, and what is refused with its line and column."""

import pytest

from civsync.core.codes import Code
from civsync.core.limits import ROOTS
from civsync.core.request import Manifest
from civsync.core.roots import Roots
from civsync.documents.layouts import build_layout
from civsync.documents.manifest import read_manifest
from support.manifest_text import Folder, problems_of


def head(*lines: str) -> str:
    """A manifest without models and with these lines at the top."""
    return "\n".join(["version: 1", *lines, "models: []", ""])


def read(*lines: str) -> Manifest:
    return read_manifest(head(*lines))


def test_roots_keep_the_order_in_which_they_stand() -> None:
    manifest = read("roots:", "  b: {path: ./UI/models/}", "  a: {path: x}")
    assert manifest.roots == Roots(named={"b": "UI/models", "a": "x"})
    assert list(manifest.layouts) == ["b", "a"]


def test_without_roots_there_is_the_one_without_a_name() -> None:
    manifest = read("root: x")
    assert manifest.roots == Roots(single="x")
    assert manifest.layouts == {"": build_layout("comfyui")}


@pytest.mark.parametrize(
    ("top", "root", "layout", "directories"),
    [
        pytest.param([], "", "comfyui", {}, id="nothing"),
        pytest.param(["layout: forge"], "", "forge", {}, id="the manifest's layout"),
        pytest.param(["layout: forge"], ", layout: flat", "flat", {}, id="its own"),
        pytest.param(
            ["directories: {LORA: l, VAE: v}"],
            ", directories: {LORA: mine}",
            "comfyui",
            {"LORA": "mine", "VAE": "v"},
            id="its directories over the manifest's",
        ),
        pytest.param(
            ["directories: {LORA: l, VAE: v}"],
            ", layout: a1111, directories: {VAE: mine}",
            "a1111",
            {"VAE": "mine"},
            id="a layout of its own begins anew",
        ),
    ],
)
def test_a_root_has_what_the_manifest_says_unless_it_says_otherwise(
    top: list[str], root: str, layout: str, directories: dict[str, str]
) -> None:
    manifest = read(*top, "roots:", f"  ui: {{path: x{root}}}")
    assert manifest.layouts == {"ui": build_layout(layout, directories=directories)}


def test_a_root_may_have_a_layout_of_the_manifests_own() -> None:
    manifest = read(
        "layouts: {mine: {extends: flat, directories: {LORA: l}}}",
        "roots:",
        "  ui: {path: x, layout: mine}",
    )
    assert manifest.layouts["ui"].by_model_type["LORA"] == "l"


@pytest.mark.parametrize(
    ("lines", "code", "where", "says"),
    [
        (
            ["root: a", "roots: {ui: {path: b}}"],
            Code.MANIFEST_INVALID, ":3:1", "`root` and `roots` exclude each other",
        ),
        (["roots: {}"], Code.MANIFEST_INVALID, ":2:8", "is empty"),
        (["roots: [a]"], Code.MANIFEST_INVALID, ":2:8", "must be a mapping"),
        (["roots: {ui: models}"], Code.MANIFEST_INVALID, ":2:13", "must be a mapping"),
        (["roots: {ui: {}}"], Code.MANIFEST_INVALID, ":2:13", "`ui` has no `path`"),
        (["roots: {ui: {path: x, pth: y}}"], Code.UNKNOWN_KEY, ":2:23", "`pth` is not a key"),
        (["roots: {.ui: {path: x}}"], Code.MANIFEST_INVALID, ":2:9", "cannot be called '.ui'"),
        (["roots: {'a=b': {path: x}}"], Code.MANIFEST_INVALID, ":2:9", "cannot be called 'a=b'"),
        (['roots: {"a\\n": {path: x}}'], Code.MANIFEST_INVALID, ":2:9", "cannot be called"),
        (["roots: {../x: {path: x}}"], Code.MANIFEST_INVALID, ":2:9", "cannot be called"),
        ([f"roots: {{{'u' * 41}: {{path: x}}}}"], Code.MANIFEST_INVALID, ":2:9", "cannot be"),
        (["roots: {ui: {path: ../x}}"], Code.MANIFEST_INVALID, ":2:20", "below the manifest's"),
        (["roots: {ui: {path: /x}}"], Code.MANIFEST_INVALID, ":2:20", "below the manifest's"),
        (["roots: {ui: {path: ~/x}}"], Code.MANIFEST_INVALID, ":2:20", "taken literally"),
        (["roots: {ui: {path: $HOME/x}}"], Code.MANIFEST_INVALID, ":2:20", "taken literally"),
        (["roots: {ui: {path: x, layout: y}}"], Code.UNKNOWN_LAYOUT, ":2:31", "no layout 'y'"),
        (
            ["roots:", "  a: {path: x}", "  b: {path: ./x/}"],
            Code.MANIFEST_INVALID, ":4:3", "`a` and `b` are one folder, or one lies in the other",
        ),
        (["roots:", "  a: {path: x}", "  b: {path: X}"], Code.MANIFEST_INVALID, ":4:3", "one"),
        (["roots:", "  a: {path: x/y}", "  b: {path: x}"], Code.MANIFEST_INVALID, ":4:3", "one"),
        (["roots:", "  a: {path: x}", "  b: {path: X/y}"], Code.MANIFEST_INVALID, ":4:3", "one"),
        (["roots:", "  a: {path: x}", "  b: {path: .}"], Code.MANIFEST_INVALID, ":4:3", "one"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_what_roots_may_not_say(lines: list[str], code: Code, where: str, says: str) -> None:
    (problem,) = problems_of(head(*lines))
    assert (problem.code, str(problem.place)) == (code, f"civsync.yaml{where}")
    assert says in problem.message


def test_folders_whose_names_begin_alike_are_apart() -> None:
    roots = read("roots:", "  a: {path: ui}", "  b: {path: ui2}", "  c: {path: u/i}").roots
    assert list(roots.named) == ["a", "b", "c"]


def test_there_is_a_bound_to_how_many_roots_there_are() -> None:
    lines = [f"  ui{number}: {{path: x{number}}}" for number in range(ROOTS + 1)]
    assert len(read("roots:", *lines[:-1]).roots.named) == ROOTS
    (problem,) = problems_of(head("roots:", *lines))
    assert (str(problem.place), problem.message) == (
        "civsync.yaml:2:1",
        f"there are {ROOTS + 1} roots, and one manifest has at most {ROOTS}",
    )


def test_an_included_manifest_cannot_name_roots() -> None:
    folder = Folder(a=head("roots: {ui: {path: x}}"))
    (problem,) = problems_of("version: 1\ninclude: [a.yaml]\n", load=folder.load)
    assert str(problem.place) == "a.yaml:2:1"
    assert "belongs in the manifest that includes" in problem.message
