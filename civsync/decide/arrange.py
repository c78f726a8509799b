"""Find the entries that say where the files of a folder lie already, in as few words as will do.

An entry names one version and has one place; what its place cannot express is left out and
said, never moved.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.names import collision_key, safe_name, split_suffix
from civsync.core.request import Layout, Placement
from civsync.core.values import dataclass
from civsync.decide.identify import Fate, Left, Match
from civsync.decide.kinds import is_pickle
from civsync.decide.place import directory_template
from civsync.documents.layouts import PRESET_NAMES, build_layout
from civsync.documents.templates import EMPTY, Kind, Template, TemplateError
from civsync.documents.yaml_writing import Writable

MARKED: Final = "{name}~{file_id}.{ext}"
"""How civsync itself calls files that would otherwise share a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One entry: files of one version, sorted by id, and the place that they share."""

    model: RemoteModel
    version: RemoteVersion
    matches: tuple[Match, ...]
    placement: Placement

    @property
    def allow_pickle(self) -> bool:
        """Whether one of the files can run code when it is loaded."""
        return any(is_pickle(match.file.name, match.file.format) for match in self.matches)

    @property
    def title(self) -> str:
        """Return the names of model and version, as they came."""
        return f"{self.model.name}, {self.version.name}"

    def item(self) -> Mapping[str, Writable]:
        """Return the keys of the entry, as a manifest has them."""
        keys: dict[str, Writable] = {
            "model": self.model.id,
            "version": self.version.id,
            "files": [{"id": match.file.id} for match in self.matches],
        }
        if self.placement.directory is not None:
            keys["directory"] = self.placement.directory
        if self.placement.filename is not None:
            keys["filename"] = self.placement.filename
        if self.allow_pickle:
            keys["allow_pickle"] = True
        return keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """Entries in the order of their first file's path, under the preset `layout`."""

    layout: str
    entries: tuple[Described, ...] = ()
    left: tuple[Left, ...] = ()


def arrange(matches: Sequence[Match], layout: str | None = None) -> Arrangement:
    """Return entries that place `matches` exactly where they lie.

    Without a `layout` it is the preset under which most files lie where it says; next, the
    one whose folders most of them lie below.
    """
    name = layout or detect_layout(matches)
    apart, left = _apart(matches)
    homes = build_layout(name)
    groups: dict[int, list[Match]] = defaultdict(list)
    for match in apart:
        groups[match.version.id].append(match)
    entries = []
    for group in groups.values():
        described, scattered = _describe(group, homes)
        if described is not None:
            entries.append(described)
        left.extend(scattered)
    return Arrangement(layout=name, entries=tuple(entries), left=tuple(left))


def detect_layout(matches: Sequence[Match]) -> str:
    """Return the preset that the files lie by, the first one if they lie by none."""
    return max(PRESET_NAMES, key=lambda name: _agreement(matches, build_layout(name)))


def _agreement(matches: Sequence[Match], layout: Layout) -> tuple[int, int]:
    exact = below = 0
    for match in matches:
        home = _home(match, layout)
        exact += match.found.directory == home
        below += bool(home) and match.found.directory.startswith(f"{home}/")
    return exact, below


def _home(match: Match, layout: Layout) -> str:
    """Return the directory that a preset gives a file: it has no fields in it."""
    return directory_template(
        layout,
        Placement(),
        model_type=match.model.type,
        file_type=match.file.type,
        file_format=match.file.format,
    )


def _apart(matches: Sequence[Match]) -> tuple[list[Match], list[Left]]:
    """Leave out files whose paths some disk would take for that of another one."""
    seen: dict[str, Match] = {}
    left = []
    for match in sorted(matches, key=lambda each: each.found.path):
        first = seen.setdefault(collision_key(match.found.path), match)
        if first is not match:
            reason = f"some disks take its path for that of {first.found.path}"
            left.append(match.found.left(Fate.SKIPPED, "clash", reason))
    return list(seen.values()), left


@dataclass(frozen=True, slots=True, kw_only=True)
class _Option:
    """What `directory` or `filename` may say (None: nothing), and what that makes of a file."""

    template: str | None
    made: Callable[[Match], str]


def _describe(group: Sequence[Match], layout: Layout) -> tuple[Described | None, list[Left]]:
    """Find the place that most files of one version have in common."""
    best: Placement | None = None
    covered: list[Match] = []
    names = list(_name_options(group))
    for directory in _directory_options(group, layout):
        there = [match for match in group if directory.made(match) == match.found.directory]
        for name in names:
            fitting = [match for match in there if name.made(match) == match.found.name]
            # The options that say least come first, and win if they cover as much.
            if len(fitting) > len(covered):
                best = Placement(directory=directory.template, filename=name.template)
                covered = fitting
    if best is None:
        reason = "no entry of a manifest can say where it lies"
        return None, [each.found.left(Fate.SKIPPED, "unplaceable", reason) for each in group]
    first = covered[0]
    reason = (
        f"it belongs to version {first.version.id} as {first.found.path} does, and the entry of"
        " a version has one place"
    )
    described = Described(
        model=first.model,
        version=first.version,
        matches=tuple(sorted(covered, key=lambda match: match.file.id)),
        placement=best,
    )
    return described, [
        each.found.left(Fate.SKIPPED, "scattered", reason) for each in group if each not in covered
    ]


def _directory_options(group: Sequence[Match], layout: Layout) -> Iterable[_Option]:
    yield _Option(template=None, made=lambda match: _home(match, layout))
    for text in sorted({match.found.directory for match in group}):
        yield from _literal(text, "directory")


def _name_options(group: Sequence[Match]) -> Iterable[_Option]:
    yield _Option(template=None, made=_own_name)
    yield _Option(template=MARKED, made=_marked_name)
    for text in sorted({match.found.name for match in group}):
        yield from _literal(text, "filename")


def _literal(text: str, kind: Kind) -> Iterable[_Option]:
    """Yield the template that means `text`, if a template can."""
    template = text.replace("{", "{{").replace("}", "}}")
    try:
        if kind == "directory":
            Template.parse(template, kind="directory")
        else:
            Template.parse(template, kind="filename")
    except TemplateError:
        return
    yield _Option(template=template, made=lambda _match: text)


def _own_name(match: Match) -> str:
    return safe_name(match.file.name.rstrip(". ") or EMPTY, mark=match.file.id)


def _marked_name(match: Match) -> str:
    stem, suffix = split_suffix(match.file.name.rstrip(". "))
    fields = {"name": stem, "ext": suffix.removeprefix("."), "file_id": str(match.file.id)}
    return Template.parse(MARKED, kind="filename").render(fields, mark=match.file.id)
