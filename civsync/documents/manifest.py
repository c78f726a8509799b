"""Read `civsync.yaml`: text in, the user's wishes as values out, or all that is wrong with it.

The shape is checked against the published schema, then every value for what it means.
Nothing stops at the first fault. A manifest may come from a stranger: it cannot name a
directory outside its own folder, a host, a token or a command.
"""

from collections.abc import Iterable
from dataclasses import field, replace
from typing import Final

from civsync.core.codes import Code
from civsync.core.limits import INCLUDES
from civsync.core.problems import DocumentError, Place, Problem
from civsync.core.request import ById, Entry, Manifest, NamedRoot, Preference
from civsync.core.roots import Roots
from civsync.core.values import dataclass
from civsync.documents.entries import read_entry
from civsync.documents.findings import Findings, text_of, texts_of
from civsync.documents.hints import did_you_mean
from civsync.documents.includes import NOT_INCLUDED, IncludeError, Load, include_path
from civsync.documents.layout_keys import read_layouts
from civsync.documents.manifest_schema import check_shape
from civsync.documents.nodes import Mapping, Node, Sequence
from civsync.documents.policies import read_policy
from civsync.documents.preferences import read_preference
from civsync.documents.root_keys import read_roots
from civsync.documents.searches import read_search
from civsync.documents.terms import Defaults, distinct, read_cutoff
from civsync.documents.yaml_text import parse_yaml


def read_manifest(
    text: str | bytes, *, name: str = "civsync.yaml", load: Load | None = None
) -> Manifest:
    """Return the manifest that `text` holds, with what it includes.

    `name` is what messages call it. `load` is asked for the included manifests by their
    paths from this one's folder; without it an `include` is a problem.
    Raises DocumentError with every problem, each with document, line, column and key.
    """
    findings = Findings(name)
    node = _parsed(text, findings, hint=_EMPTY_HINT)
    reading = _Reading(load=load, findings=[findings])
    manifest = None
    if node is not None:
        entries = reading.entries_of(node, name.rpartition("/")[2], _defaults(node, findings))
        roots = read_roots(node, findings)
        layout, layouts = read_layouts(node, findings)
        manifest = Manifest(
            root=roots.single,
            layout=layout,
            named_roots={
                name: NamedRoot(path=path, layout=layouts[name])
                for name, path in roots.named.items()
            },
            entries=entries,
            default_groups=_default_groups(node.get("default_groups"), findings),
            includes=tuple(reading.includes),
        )
    problems = [problem for each in reading.findings for problem in each.problems]
    if problems or manifest is None:
        raise DocumentError(problems)
    return manifest


def read_head(
    text: str | bytes, *, name: str = "civsync.yaml"
) -> tuple[Roots, tuple[str, ...] | None]:
    """Return the roots and the default groups that a manifest names; entries are not looked at.

    Nor is what it includes: only the manifest itself can name them. Raises DocumentError
    where the manifest is not of the right shape.
    """
    findings = Findings(name)
    node = _parsed(text, findings, hint=_EMPTY_HINT)
    roots = read_roots(node, findings) if node else Roots()
    groups = _default_groups(node.get("default_groups") if node else None, findings)
    if findings.problems:
        raise DocumentError(findings.problems)
    return roots, groups


def identity_of(entry: Entry) -> str:
    """Return what two entries share that ask for the same version."""
    version = entry.request.version
    return f"@{version.id}" if isinstance(version, ById) else entry.key


_EMPTY_HINT: Final = "Run `civsync init --force`, or write `version: 1` and `models: []`."


def _parsed(text: str | bytes, findings: Findings, *, hint: str) -> Mapping | None:
    """Return the document, or None with the problem noted; `hint` is for an empty one."""
    read = parse_yaml(text, name=findings.document)
    findings.problems += read.problems
    if read.root is None:
        if not read.problems:
            place = Place(document=findings.document, line=1, column=1)
            message = "the manifest is empty"
            problem = Problem(code=Code.MANIFEST_SYNTAX, message=message, place=place, hint=hint)
            findings.problems.append(problem)
        return None
    check_shape(read.root, findings)
    return read.root if isinstance(read.root, Mapping) else None


def _defaults(node: Mapping, findings: Findings) -> Defaults:
    return Defaults(
        prefer=read_preference(node.get("prefer"), "prefer", findings, Preference()),
        policy=read_policy(node.get("policy"), findings),
        exclude_newer=read_cutoff(node.get("exclude_newer"), "exclude_newer", findings, ""),
    )


def _default_groups(node: Node | None, findings: Findings) -> tuple[str, ...] | None:
    text = text_of(node)
    if node is not None and text and text != "all":
        message = f"`default_groups` must be a list or all, not the text {text[:40]}"
        hint = did_you_mean(text, ("all",)) or f"Write it as a list: [{text[:40]}]."
        findings.add(Code.MANIFEST_INVALID, message, node, "default_groups", hint)
    return None if text else distinct(texts_of(node))


# --- entries, and what is included --------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class _Reading:
    """The entries of a manifest and of all that it includes, while they are read."""

    load: Load | None
    findings: list[Findings]
    includes: list[str] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)

    def entries_of(self, node: Mapping, path: str, defaults: Defaults) -> tuple[Entry, ...]:
        """Return the entries of the top manifest, then those of what it includes."""
        self._take(node, (path,), defaults, self.findings[0])
        return tuple(self.entries.values())

    def _take(
        self, node: Mapping, chain: tuple[str, ...], defaults: Defaults, findings: Findings
    ) -> None:
        """Take one document and, behind it, what it includes; what came first wins.

        `chain` are the paths of the manifests from the top one to this.
        """
        for entry in _entries(node, defaults, findings):
            self.entries.setdefault(identity_of(entry), entry)
        include = node.get("include")
        for index, item in enumerate(include.items if isinstance(include, Sequence) else ()):
            try:
                inner = self._included(item, chain, findings)
            except IncludeError as error:
                findings.add(error.code, str(error), item, f"include[{index}]", error.hint)
                continue
            if inner is not None:
                self._take_included(*inner, chain, defaults)

    def _included(
        self, item: Node, chain: tuple[str, ...], findings: Findings
    ) -> tuple[str, bytes] | None:
        """Return the path and text of one item of `include`; None for one that was read."""
        text = text_of(item)
        if not text:
            return None
        path = include_path(text, base=chain[-1])
        if path in chain:
            circle = " -> ".join((*chain[chain.index(path) :], path))
            raise IncludeError(f"the includes run in a circle: {circle}", hint="Remove one.")
        if path in self.includes:
            return None
        if self.load is None:
            raise IncludeError(f"{findings.document} is read alone and cannot include anything")
        if len(self.includes) == INCLUDES:
            raise IncludeError(f"more than {INCLUDES} manifests are included")
        self.includes.append(path)
        return path, self.load(path)

    def _take_included(
        self, path: str, text: bytes, chain: tuple[str, ...], defaults: Defaults
    ) -> None:
        findings = Findings(path)
        self.findings.append(findings)
        node = _parsed(text, findings, hint="Write `version: 1` and `models: []`.")
        if node is None:
            return
        for key in NOT_INCLUDED:
            if pair := node.pair(key):
                message = f"`{key}` belongs in the manifest that includes this one"
                findings.add(Code.MANIFEST_INVALID, message, pair, key, f"Move it to {chain[0]}.")
        prefer = read_preference(node.get("prefer"), "prefer", findings, defaults.prefer)
        self._take(node, (*chain, path), replace(defaults, prefer=prefer), findings)


def _entries(node: Mapping, defaults: Defaults, findings: Findings) -> Iterable[Entry]:
    """Return the entries of one document; noting those that it has twice."""
    seen: dict[str, Entry] = {}
    for name, read in (("models", read_entry), ("searches", read_search)):
        items = node.get(name)
        for index, item in enumerate(items.items if isinstance(items, Sequence) else ()):
            key = f"{name}[{index}]"
            entry = read(item, key, defaults, findings)
            if entry is None:
                continue
            first = seen.setdefault(identity_of(entry), entry)
            if first is not entry:
                message = (
                    f"`{entry.key}` is asked for twice: lines {first.place.line} and {item.line}"
                )
                findings.add(Code.DUPLICATE_ENTRY, message, item, key)
    return seen.values()
