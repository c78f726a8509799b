"""Read one item under `models:` into an entry with all defaults applied.

Wrong types are the schema's business and are passed over here; what the keys mean
together is checked here. Nothing is looked up: whether an id exists is for the resolver.
"""

from dataclasses import replace

from civsync.core.codes import Code
from civsync.core.request import (
    All,
    ById,
    ByName,
    Entry,
    FileSelector,
    Latest,
    Newest,
    VersionSpec,
)
from civsync.documents.findings import Findings, integer_of, text_of
from civsync.documents.links import LinkError, Target, ambiguous_number, parse_target
from civsync.documents.nodes import Mapping, Node, Refused, Scalar, Sequence
from civsync.documents.searches import read_creator
from civsync.documents.terms import Defaults, Terms, default_terms, read_terms
from civsync.documents.vocabulary import FILE_TYPES, PRECISIONS, UnknownWordError


def read_entry(node: Node, key: str, defaults: Defaults, findings: Findings) -> Entry | None:
    """Return the entry of `node`, or None where its problems leave nothing to ask for."""
    match node:
        case Scalar():
            return _short_entry(node, key, defaults, findings)
        case Mapping() if node.pair("creator"):
            return read_creator(node, key, defaults, findings)
        case Mapping():
            return _long_entry(node, key, defaults, findings)
        case Sequence() | Refused():
            return None


def _short_entry(node: Scalar, key: str, defaults: Defaults, findings: Findings) -> Entry | None:
    target = _target(node, key, findings)
    if target is None:
        return None
    return _with_link(default_terms(defaults), target).entry(
        findings.place(node, key),
        version=Latest() if target.version_id is None else ById(target.version_id),
        model_id=target.model_id,
    )


def _long_entry(node: Mapping, key: str, defaults: Defaults, findings: Findings) -> Entry | None:
    target = _model(node.get("model"), f"{key}.model", findings)
    version = _version(node, key, target or Target(), findings)
    terms = read_terms(node, key, defaults, findings)
    if target is None or version is None:
        return None
    linked = _with_link(terms, target)
    if terms.selectors and linked.selectors != terms.selectors:
        message = "the link in `model` names a file, and `files` names files too"
        hint = "Remove one of the two."
        where = node.pair("files") or node
        findings.add(Code.MANIFEST_INVALID, message, where, f"{key}.files", hint)
    return linked.entry(
        findings.place(node, key),
        version=version,
        model_id=target.model_id,
        base_model=text_of(node.get("base_model")),
    )


def _with_link(terms: Terms, target: Target) -> Terms:
    """Return `terms` with what a link says about the file."""
    selector = FileSelector(
        id=target.file_id, type=target.type, precision=target.precision, size=target.size
    )
    if selector != FileSelector():
        return replace(terms, selectors=(replace(selector, format=target.format),))
    if target.format:
        return replace(terms, prefer=replace(terms.prefer, format=(target.format,)))
    return terms


def _model(node: Node | None, key: str, findings: Findings) -> Target | None:
    """Return what `model:` points at: nothing yet where the key is absent."""
    match node:
        case None:
            return Target()
        case Scalar(value=bool()):
            return None
        case Scalar(value=int(number)):
            return Target(model_id=number)
        case Scalar(value=str(text)) if text.isdecimal():
            message = f"`model` is the number {text[:12]} in quotes"
            findings.add(Code.MANIFEST_INVALID, message, node, key, "Write it without quotes.")
            return None
        case Scalar():
            return _target(node, key, findings)
        case _:
            return None


def _target(node: Scalar, key: str, findings: Findings) -> Target | None:
    try:
        match node.value:
            case bool() | float() | None | "":
                return None
            case int(number):
                raise ambiguous_number(str(number))
            case text:
                return _spelled(parse_target(text))
    except LinkError as error:
        findings.add(error.code, str(error), node, key, error.hint)
    except UnknownWordError as error:
        hint = f"Did you mean `{error.meant}`?"
        findings.add(Code.BAD_LINK, f"in the link, {error}", node, key, hint)
    return None


def _spelled(target: Target) -> Target:
    """Return `target` with the words of its query spelled as the API spells them."""
    return replace(
        target,
        type=FILE_TYPES.canonical(target.type),
        precision=PRECISIONS.canonical(target.precision),
    )


def _version(node: Mapping, key: str, target: Target, findings: Findings) -> VersionSpec | None:
    """Return what `version:` and a link in `model:` say together."""
    linked = target.version_id
    pair = node.pair("version")
    if pair is None:
        if linked is None and target.model_id is None:
            return None
        return Latest() if linked is None else ById(linked)
    spec = _version_spec(pair.value)
    if spec is None:
        return None
    if linked is not None and spec != ById(linked):
        message = f"the link in `model` is to version {linked}, but `version` says otherwise"
        hint = "Remove `version`, or ?modelVersionId=... from the link."
        findings.add(Code.MANIFEST_INVALID, message, pair.value, f"{key}.version", hint)
    elif target == Target() and node.get("model") is None and not isinstance(spec, ById):
        message = "a version that is not an id says nothing without its model"
        hint = "Add `model: ID`, or write the version's id as a number."
        findings.add(Code.MANIFEST_INVALID, message, pair.value, f"{key}.version", hint)
        return None
    return spec


def _version_spec(node: Node) -> VersionSpec | None:
    if (number := integer_of(node)) is not None:
        return ById(number)
    match text_of(node):
        case None | "":
            return None
        case "latest":
            return Latest()
        case "newest":
            return Newest()
        case "all":
            return All()
        case name:
            return ByName(name)
