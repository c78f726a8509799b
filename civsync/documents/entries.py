"""Read one item under `models:` into an entry with all defaults applied.

Wrong types are the schema's business and are passed over here; what the keys mean
together is checked here. Nothing is looked up: whether an id exists is for the resolver.
"""

from dataclasses import dataclass, field, replace

from civsync.core.codes import Code
from civsync.core.errors import Place
from civsync.core.request import (
    ById,
    ByName,
    Entry,
    FileSelector,
    Latest,
    Newest,
    Placement,
    Policy,
    Preference,
    Request,
    VersionSpec,
)
from civsync.core.wording import entry_key
from civsync.documents.findings import Findings, flag_of, integer_of, text_of
from civsync.documents.links import LinkError, Target, ambiguous_number, parse_target
from civsync.documents.nodes import Mapping, Node, Refused, Scalar, Sequence
from civsync.documents.preferences import read_preference, read_selectors
from civsync.documents.templates import Kind, Template, TemplateError
from civsync.documents.vocabulary import FILE_TYPES, PRECISIONS, UnknownWordError


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the whole manifest says about every entry."""

    prefer: Preference = field(default_factory=Preference)
    policy: Policy = field(default_factory=Policy)
    exclude_newer: str = ""


def read_entry(node: Node, key: str, defaults: Defaults, findings: Findings) -> Entry | None:
    """Return the entry of `node`, or None where its problems leave nothing to ask for."""
    match node:
        case Scalar():
            return _short_entry(node, key, defaults, findings)
        case Mapping():
            return _long_entry(node, key, defaults, findings)
        case Sequence() | Refused():
            return None


def read_template(node: Node | None, key: str, kind: Kind, findings: Findings) -> str | None:
    """Return the text of a template that was proved safe, or None."""
    text = text_of(node)
    if text is None or node is None:
        return None
    try:
        if kind == "directory":
            return Template.parse(text, kind="directory").text
        return Template.parse(text, kind="filename").text
    except TemplateError as error:
        findings.add(Code.BAD_TEMPLATE, str(error), node, key, error.hint)
        return None


def refuse_for_now(node: Node | None, key: str, findings: Findings) -> None:
    """Note that the key `key` is not carried out yet, unless its list is empty."""
    match node:
        case Sequence(items=(_, *_)) | Mapping(pairs=(_, *_)):
            findings.add(Code.NOT_YET, f"`{key}` is not carried out yet", node, key)
        case _:
            pass


def _short_entry(node: Scalar, key: str, defaults: Defaults, findings: Findings) -> Entry | None:
    target = _target(node, key, findings)
    if target is None:
        return None
    version: VersionSpec = Latest() if target.version_id is None else ById(target.version_id)
    request = _request(target, version, defaults)
    return _entry(request, findings.place(node, key))


def _long_entry(node: Mapping, key: str, defaults: Defaults, findings: Findings) -> Entry | None:
    target = _model(node.get("model"), f"{key}.model", findings)
    version = _version(node, key, target or Target(), findings)
    placement = Placement(
        directory=read_template(node.get("directory"), f"{key}.directory", "directory", findings),
        filename=read_template(node.get("filename"), f"{key}.filename", "filename", findings),
    )
    refuse_for_now(node.get("groups"), f"{key}.groups", findings)
    selectors = read_selectors(node.get("files"), f"{key}.files", findings)
    prefer = read_preference(node.get("prefer"), f"{key}.prefer", findings, defaults.prefer)
    if target is None or version is None:
        return None
    request = _request(target, version, replace(defaults, prefer=prefer))
    if selectors and request.selectors:
        message = "the link in `model` names a file, and `files` names files too"
        hint = "Remove one of the two."
        where = node.pair("files") or node
        findings.add(Code.MANIFEST_INVALID, message, where, f"{key}.files", hint)
    allow_pickle = flag_of(node.get("allow_pickle"))
    request = replace(
        request,
        base_model=text_of(node.get("base_model")),
        selectors=selectors or request.selectors,
        policy=request.policy
        if allow_pickle is None
        else replace(request.policy, allow_pickle=allow_pickle),
        allow_unverified=flag_of(node.get("allow_unverified")) or False,
    )
    return _entry(
        request,
        findings.place(node, key),
        placement=placement,
        priority=integer_of(node.get("priority")) or 0,
        hold=_hold(node.get("hold")),
    )


def _entry(
    request: Request,
    place: Place,
    *,
    placement: Placement = Placement(),  # noqa: B008 - frozen
    priority: int = 0,
    hold: str | None = None,
) -> Entry:
    return Entry(
        key=entry_key(request),
        request=request,
        placement=placement,
        priority=priority,
        hold=hold,
        place=place,
    )


def _request(target: Target, version: VersionSpec, defaults: Defaults) -> Request:
    prefer = defaults.prefer
    selectors: tuple[FileSelector, ...] = ()
    selector = FileSelector(
        id=target.file_id, type=target.type, precision=target.precision, size=target.size
    )
    if selector != FileSelector():
        selectors = (replace(selector, format=target.format),)
    elif target.format:
        prefer = replace(prefer, format=(target.format,))
    return Request(
        model_id=target.model_id,
        version=version,
        selectors=selectors,
        prefer=prefer,
        policy=defaults.policy,
        exclude_newer=defaults.exclude_newer,
    )


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
        case name:
            return ByName(name)


def _hold(node: Node | None) -> str | None:
    """Return why the entry is held; "held" where no reason is given."""
    reason = text_of(node)
    return reason or ("held" if flag_of(node) else None)
