"""Read `civsync.yaml`: text in, the user's wishes as values out, or all that is wrong with it.

The shape is checked against the published schema, then every value for what it means.
Nothing stops at the first fault. A manifest may come from a stranger: it cannot name a
directory outside its own folder, a host, a token or a command.
"""

from collections.abc import Iterable
from typing import Final

from civsync.core.codes import Code
from civsync.core.errors import DocumentError, Place, Problem
from civsync.core.names import UnsafePathError, parse_path
from civsync.core.request import ById, Entry, Layout, Manifest, Policy, Preference
from civsync.documents.entries import Defaults, read_entry, read_template, refuse_for_now
from civsync.documents.findings import Findings, text_of
from civsync.documents.layouts import (
    DEFAULT_LAYOUT,
    PRESET_NAMES,
    UnknownLayoutError,
    UserLayout,
    build_layout,
    type_key,
)
from civsync.documents.manifest_schema import check_shape
from civsync.documents.nodes import Mapping, Node, Pair, Sequence
from civsync.documents.preferences import read_preference, read_scans
from civsync.documents.vocabulary import UnknownWordError
from civsync.documents.yaml_text import parse_yaml

DEFAULT_ROOT: Final = "models"

_ROOT_HINT: Final = "A root elsewhere is given by --root or CIVSYNC_ROOT."


def read_manifest(text: str | bytes, *, name: str = "civsync.yaml") -> Manifest:
    """Return the manifest that `text` holds. `name` is what messages call it.

    Raises DocumentError with every problem, each with line, column and key.
    """
    read = parse_yaml(text, name=name)
    findings = Findings(name, read.problems)
    if read.root is None:
        raise DocumentError(findings.problems or [_emptiness(name)])
    check_shape(read.root, findings)
    manifest = _manifest(read.root, findings) if isinstance(read.root, Mapping) else None
    if findings.problems or manifest is None:
        raise DocumentError(findings.problems)
    return manifest


def _emptiness(name: str) -> Problem:
    return Problem(
        code=Code.MANIFEST_SYNTAX,
        message="the manifest is empty",
        place=Place(document=name, line=1, column=1),
        hint="Run `civsync init --force`, or write `version: 1` and `models: []`.",
    )


def _manifest(node: Mapping, findings: Findings) -> Manifest:
    for key in ("searches", "include", "groups"):
        refuse_for_now(node.get(key), key, findings)
    return Manifest(
        root=_root(node.get("root"), findings),
        layout=_layout(node, findings),
        entries=_entries(node.get("models"), _defaults(node, findings), findings),
    )


def _defaults(node: Mapping, findings: Findings) -> Defaults:
    prefer = read_preference(node.get("prefer"), "prefer", findings, Preference())
    policy = node.get("policy")
    if not isinstance(policy, Mapping):
        return Defaults(prefer=prefer)
    refuse_for_now(policy.get("license"), "policy.license", findings)
    return Defaults(
        prefer=prefer,
        policy=Policy(
            allow_pickle=text_of(policy.get("pickle")) == "allow",
            scans=read_scans(policy.get("scans")),
        ),
    )


def _root(node: Node | None, findings: Findings) -> str:
    text = text_of(node)
    if not text or node is None:
        return DEFAULT_ROOT
    trimmed = text.removeprefix("./").rstrip("/") if not text.startswith("/") else text
    if trimmed in ("", "."):
        return "."
    message = ""
    if trimmed.startswith("~") or "$" in trimmed:
        message = f"`root` is taken literally, and {text!r} wants to be expanded"
    else:
        try:
            return parse_path(trimmed)
        except UnsafePathError:
            message = f"`root` must be a folder below the manifest's own, not {text!r}"
    findings.add(Code.MANIFEST_INVALID, message, node, "root", _ROOT_HINT)
    return DEFAULT_ROOT


# --- layouts ------------------------------------------------------------------------------


def _layout(node: Mapping, findings: Findings) -> Layout:
    layouts = _user_layouts(node.get("layouts"), findings)
    directories = _directories(node.get("directories"), "directories", findings)
    name = text_of(node.get("layout")) or DEFAULT_LAYOUT
    try:
        return build_layout(name, layouts=layouts, directories=directories)
    except UnknownLayoutError as error:
        where = node.get("layout") or node
        findings.add(Code.UNKNOWN_LAYOUT, str(error), where, "layout", error.hint)
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


# --- entries ------------------------------------------------------------------------------


def _entries(node: Node | None, defaults: Defaults, findings: Findings) -> tuple[Entry, ...]:
    entries: list[Entry] = []
    seen: dict[str, Entry] = {}
    for index, item in enumerate(node.items if isinstance(node, Sequence) else ()):
        key = f"models[{index}]"
        entry = read_entry(item, key, defaults, findings)
        if entry is None:
            continue
        first = seen.setdefault(_identity(entry), entry)
        if first is not entry:
            message = f"`{entry.key}` is asked for twice: lines {first.place.line} and {item.line}"
            findings.add(Code.DUPLICATE_ENTRY, message, item, key)
        entries.append(entry)
    return tuple(entries)


def _identity(entry: Entry) -> str:
    """Return what two entries share that ask for the same version."""
    version = entry.request.version
    return f"@{version.id}" if isinstance(version, ById) else entry.key
