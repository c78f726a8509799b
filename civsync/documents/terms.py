"""Read what entries of every kind may say: which files, where to, for whom, how strictly.

Wrong types are the schema's business and are passed over here. What an entry points at is
read elsewhere.
"""

from collections.abc import Iterable
from dataclasses import field, replace

from civsync.core.codes import Code
from civsync.core.problems import Place
from civsync.core.request import (
    Entry,
    FileSelector,
    Placement,
    Policy,
    Preference,
    Request,
    Search,
    VersionSpec,
)
from civsync.core.values import dataclass
from civsync.core.wording import entry_key
from civsync.documents.cutoffs import CUTOFF_HINT, CutoffError, spell_cutoff
from civsync.documents.findings import Findings, flag_of, integer_of, text_of, texts_of
from civsync.documents.nodes import Mapping, Node
from civsync.documents.preferences import read_preference, read_selectors
from civsync.documents.templates import Kind, Template, TemplateError


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What the whole manifest says about every entry."""

    prefer: Preference = field(default_factory=Preference)
    policy: Policy = field(default_factory=Policy)
    exclude_newer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What one entry says besides what it points at, with all defaults applied."""

    selectors: tuple[FileSelector, ...] = ()
    prefer: Preference = field(default_factory=Preference)
    policy: Policy = field(default_factory=Policy)
    exclude_newer: str = ""
    allow_unverified: bool = False
    placement: Placement = field(default_factory=Placement)
    groups: tuple[str, ...] = ()
    priority: int = 0
    protect: bool | None = None
    hold: str | None = None

    def entry(
        self,
        place: Place,
        *,
        version: VersionSpec,
        model_id: int | None = None,
        search: Search | None = None,
        base_model: str | None = None,
    ) -> Entry:
        """Return the entry that asks on these terms for what the other arguments name."""
        request = Request(
            model_id=model_id,
            version=version,
            search=search,
            base_model=base_model,
            selectors=self.selectors,
            prefer=self.prefer,
            policy=self.policy,
            exclude_newer=self.exclude_newer,
            allow_unverified=self.allow_unverified,
        )
        return Entry(
            key=entry_key(request),
            request=request,
            placement=self.placement,
            groups=self.groups,
            priority=self.priority,
            protect=self.protect,
            hold=self.hold,
            place=place,
        )


def default_terms(defaults: Defaults) -> Terms:
    """Return the terms of an entry that says nothing about them."""
    return Terms(
        prefer=defaults.prefer, policy=defaults.policy, exclude_newer=defaults.exclude_newer
    )


def read_terms(node: Mapping, key: str, defaults: Defaults, findings: Findings) -> Terms:
    """Return the terms of an entry in the long form. `key` is its path, like "models[3]"."""
    allow_pickle = flag_of(node.get("allow_pickle"))
    return Terms(
        selectors=read_selectors(node.get("files"), f"{key}.files", findings),
        prefer=read_preference(node.get("prefer"), f"{key}.prefer", findings, defaults.prefer),
        policy=defaults.policy
        if allow_pickle is None
        else replace(defaults.policy, allow_pickle=allow_pickle),
        exclude_newer=read_cutoff(
            node.get("exclude_newer"), f"{key}.exclude_newer", findings, defaults.exclude_newer
        ),
        allow_unverified=flag_of(node.get("allow_unverified")) or False,
        placement=Placement(
            directory=read_template(
                node.get("directory"), f"{key}.directory", "directory", findings
            ),
            filename=read_template(node.get("filename"), f"{key}.filename", "filename", findings),
        ),
        groups=distinct(texts_of(node.get("groups"))),
        priority=integer_of(node.get("priority")) or 0,
        protect=flag_of(node.get("protect")),
        hold=_hold(node.get("hold")),
    )


def distinct(words: Iterable[str]) -> tuple[str, ...]:
    """Return each of the words once, sorted: what a list means whose order says nothing."""
    return tuple(sorted(set(words)))


def read_cutoff(node: Node | None, key: str, findings: Findings, base: str) -> str:
    """Return what `exclude_newer` says, in one spelling; "" for no bound, `base` without it."""
    text = text_of(node)
    if node is None:
        return base
    if flag_of(node):
        message = "`exclude_newer` must be an age, a date or false, not true"
        findings.add(Code.MANIFEST_INVALID, message, node, key, CUTOFF_HINT)
    if not text:
        return ""
    try:
        return spell_cutoff(text)
    except CutoffError as error:
        findings.add(Code.MANIFEST_INVALID, str(error), node, key, CUTOFF_HINT)
        return ""


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


def _hold(node: Node | None) -> str | None:
    """Return why the entry is held; "held" where no reason is given."""
    reason = text_of(node)
    return reason or ("held" if flag_of(node) else None)
