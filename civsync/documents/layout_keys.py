"""Read the keys of a manifest that say into which folders files go: by layout and by type."""

from collections.abc import Iterable
from collections.abc import Mapping as MappingOf

from civsync.core.codes import Code
from civsync.core.request import Layout
from civsync.documents.findings import Findings, text_of
from civsync.documents.layouts import (
    DEFAULT_LAYOUT,
    PRESET_NAMES,
    UnknownLayoutError,
    UserLayout,
    build_layout,
    type_key,
)
from civsync.documents.nodes import Mapping, Node, Pair
from civsync.documents.terms import read_template
from civsync.documents.vocabulary import UnknownWordError


def read_layouts(node: Mapping, findings: Findings) -> tuple[Layout, dict[str, Layout]]:
    """Return the layout of the whole manifest, and that of each of its `roots` by name.

    A root without a `layout` of its own has the manifest's, with the manifest's `directories`
    and its own over them; one with its own begins anew.
    """
    layouts = _user_layouts(node.get("layouts"), findings)
    directories = _directories(node.get("directories"), "directories", findings)
    whole = _built(node, "", layouts, directories, DEFAULT_LAYOUT, findings)
    named = {}
    for pair in _pairs(node.get("roots")):
        root, at = pair.value, f"roots.{pair.key}."
        if isinstance(root, Mapping):
            own = _directories(root.get("directories"), f"{at}directories", findings)
            merged = own if root.get("layout") else {**directories, **own}
            named[pair.key] = _built(root, at, layouts, merged, whole.name, findings)
    return whole, named


def _built(
    node: Mapping,
    at: str,
    layouts: MappingOf[str, UserLayout],
    directories: MappingOf[str, str],
    default: str,
    findings: Findings,
) -> Layout:
    """Return the layout that `node` names, with `directories` over it; `at` is its key path."""
    name = text_of(node.get("layout")) or default
    try:
        return build_layout(name, layouts=layouts, directories=directories)
    except UnknownLayoutError as error:
        where = node.get("layout") or node
        findings.add(Code.UNKNOWN_LAYOUT, str(error), where, f"{at}layout", error.hint)
        return build_layout(DEFAULT_LAYOUT)


def _user_layouts(node: Node | None, findings: Findings) -> dict[str, UserLayout]:
    layouts = {}
    for pair in _pairs(node):
        key = f"layouts.{pair.key}"
        if pair.key in PRESET_NAMES:
            message = f"`{pair.key}` is the name of a preset"
            hint = "Give your layout another name, and let it extend the preset."
            findings.add(Code.MANIFEST_INVALID, message, pair, key, hint)
        if not isinstance(pair.value, Mapping):
            continue
        extends = text_of(pair.value.get("extends")) or ""
        directories = _directories(pair.value.get("directories"), f"{key}.directories", findings)
        layouts[pair.key] = UserLayout(
            extends=extends if extends in PRESET_NAMES else "", directories=directories
        )
    return layouts


def _directories(node: Node | None, key: str, findings: Findings) -> dict[str, str]:
    """Return type to template; types in the API's spelling."""
    directories: dict[str, str] = {}
    seen: set[str] = set()
    for pair in _pairs(node):
        path = f"{key}.{pair.key}"
        directory = read_template(pair.value, path, "directory", findings)
        try:
            word = type_key(pair.key)
        except UnknownWordError as error:
            hint = f"Did you mean `{error.meant}`?"
            message = f"`{pair.key}` is no model type or file type"
            findings.add(Code.UNKNOWN_KEY, message, pair, path, hint)
            continue
        if word in seen:
            message = f"`{pair.key}` stands twice: types are told apart without regard to case"
            findings.add(Code.DUPLICATE_KEY, message, pair, path)
        seen.add(word)
        if directory is not None:
            directories[word] = directory
    return directories


def _pairs(node: Node | None) -> Iterable[Pair]:
    return node.pairs if isinstance(node, Mapping) else ()
