"""Give every locked file its path, from what the lock itself knows. Nothing is asked.

So an edit to `layout`, `directories`, `directory` or `filename` moves files without the
network. No two files ever share a path, also not on a disk that folds case or normalizes
Unicode: all that would are told apart by their file ids.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final, Generic

from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.lock import LockedEntry, LockedFile, sort_key
from civsync.core.names import (
    SafeName,
    SafePath,
    collision_key,
    join,
    marked,
    safe_name,
    split_suffix,
)
from civsync.core.request import Entry, Layout, Manifest, Placement
from civsync.decide.kinds import WEIGHT_TYPES, stands_for_model
from civsync.documents.layout_tables import FILE_TYPE_PLACED_AS, FORMAT_PLACED_AS
from civsync.documents.templates import EMPTY, Field, Rendered, Template

_ROUNDS = 10
"""Marks may make a new collision; so many rounds are far more than names can be made to need."""


def place(manifest: Manifest, entries: Sequence[LockedEntry]) -> tuple[LockedEntry, ...]:
    """Return `entries` in the order of their keys, placed as `manifest` says.

    That is paths, root by root, priority, groups and protection. What an entry and a search
    both want goes where the entry wants it, and what two searches find goes where the first
    one wants it.

    Entries that the manifest does not know are left out. Raises UserError lock-invalid if
    one file id has two contents.
    """
    wanted = {entry.key: entry for entry in manifest.entries}
    known = sorted((each for each in entries if each.key in wanted), key=lambda e: sort_key(e.key))
    by_root = {
        name: _sites(known, wanted, layout) for name, layout in sorted(manifest.layouts.items())
    }
    return tuple(
        _moved(locked, {name: sites[at] for name, sites in by_root.items()}, wanted[locked.key])
        for at, locked in enumerate(known)
    )


def _sites(
    known: Sequence[LockedEntry], wanted: Mapping[str, Entry], layout: Layout
) -> Sequence[Sequence["_Site"]]:
    """Return where the files of each entry go below a root of this layout."""
    renderer = _Renderer(layout)
    sites = [
        [renderer.site(file, wanted[locked.key].placement) for file in locked.files]
        for locked in known
    ]
    _gather(known, sites)
    _part([site for group in sites for site in group])
    return sites


def directory_template(
    layout: Layout, placement: Placement, *, model_type: str, file_type: str, file_format: str
) -> str:
    """Return the template of the directory for such a file of such a model.

    A file of another kind than its model (the VAE of a checkpoint) lies where its kind does.
    """
    if placement.directory is not None:
        return placement.directory
    own_kind = FILE_TYPE_PLACED_AS.get(file_type) == model_type
    if not own_kind and not stands_for_model(file_type, model_type):
        of_file_type = layout.by_file_type.get(file_type)
        if of_file_type is not None:
            return of_file_type
    if file_type in WEIGHT_TYPES:
        placed_as = FORMAT_PLACED_AS.get((model_type, file_format), model_type)
        if placed_as in layout.by_model_type:
            return layout.by_model_type[placed_as]
    return layout.by_model_type.get(model_type, layout.fallback)


def _moved(
    locked: LockedEntry, by_root: Mapping[str, Sequence["_Site"]], entry: Entry
) -> LockedEntry:
    """Return `locked` with the paths of the sites and what `entry` says; itself, if all is so."""
    placed = (entry.priority, entry.groups) == (locked.priority, locked.groups)
    places = [
        {name: sites[at].path for name, sites in by_root.items()} for at in range(len(locked.files))
    ]
    if (
        placed
        and entry.protect is locked.protect
        and places == [file.places for file in locked.files]
    ):
        return locked
    files = tuple(file.at(where) for file, where in zip(locked.files, places, strict=True))
    return replace(
        locked,
        priority=entry.priority,
        groups=entry.groups,
        protect=entry.protect,
        files=files,
    )


def _gather(known: Sequence[LockedEntry], sites: Sequence[Sequence["_Site"]]) -> None:
    """Let what searches found go where another entry, or else an earlier search, wants it."""
    order = sorted(zip(known, sites, strict=True), key=lambda pair: pair[0].is_search)
    first: dict[int, _Site] = {}
    for locked, group in order:
        for site in group:
            other = first.setdefault(site.file.file_id, site)
            if locked.is_search and other is not site:
                site.follow(other)


class _Site:
    """Where one file shall go. The path changes while sites are told apart."""

    __slots__ = ("directory", "file", "name", "path")

    def __init__(self, file: LockedFile, directory: SafePath, name: SafeName) -> None:
        self.file = file
        self.directory = directory
        self.name = name
        self.path = join(directory, name)

    @property
    def is_marked(self) -> bool:
        return marked(self.name, self.file.file_id) == self.name

    def mark(self) -> None:
        """Put the file id into the name; if it is there, once more."""
        if self.is_marked:
            stem, suffix = split_suffix(self.name)
            self.name = SafeName(f"{stem}_{suffix}")
        self.name = marked(self.name, self.file.file_id)
        self.path = join(self.directory, self.name)

    def follow(self, other: "_Site") -> None:
        """Go where the same file goes for another entry."""
        self.directory, self.name, self.path = other.directory, other.name, other.path


_VALUES: Final[Mapping[str, Callable[[LockedFile], str]]] = MappingProxyType(
    {
        "type": lambda file: file.model_type,
        "base_model": lambda file: file.base_model,
        "creator": lambda file: file.creator,
        "model": lambda file: file.model,
        "model_id": lambda file: str(file.model_id),
        "version": lambda file: file.version,
        "version_id": lambda file: str(file.version_id),
        "file_id": lambda file: str(file.file_id),
        "name": lambda file: _split(file)[0],
        "ext": lambda file: _split(file)[1],
        "format": lambda file: file.format,
        "precision": lambda file: file.precision,
        "quant": lambda file: file.quant,
        "size": lambda file: file.size_class,
        "nsfw": lambda file: "nsfw" if file.nsfw else "sfw",
        "tag": lambda file: file.tag,
    }
)
"""The raw value of every field of a template."""


def _split(file: LockedFile) -> tuple[str, str]:
    """Return the name of a file without its extension, and that without its dot."""
    stem, suffix = split_suffix(file.name.rstrip(". "))
    return stem, suffix.removeprefix(".")


class _Filler(Generic[Rendered]):
    """A template that reads only what it names, and renders the same values once."""

    def __init__(self, template: Template[Rendered]) -> None:
        pieces = (piece for component in template.components for piece in component)
        self._used = tuple({piece.name for piece in pieces if isinstance(piece, Field)})
        self._template = template
        self._rendered: dict[tuple[str, ...], Rendered] = {}

    def shared(self, file: LockedFile) -> Rendered:
        """Return what many files may have in common."""
        values = tuple([_VALUES[name](file) for name in self._used])
        if values not in self._rendered:
            fields = dict(zip(self._used, values, strict=True))
            self._rendered[values] = self._template.render(fields)
        return self._rendered[values]

    def own(self, file: LockedFile) -> Rendered:
        """Return what is the file's own; its id is put in where the values were not safe."""
        fields = {name: _VALUES[name](file) for name in self._used}
        return self._template.render(fields, mark=file.file_id)


class _Renderer:
    """Makes paths out of the manifest's templates, each of which is read once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._directories: dict[str, _Filler[SafePath]] = {}
        self._names: dict[str, _Filler[SafeName]] = {}

    def site(self, file: LockedFile, placement: Placement) -> _Site:
        text = directory_template(
            self._layout,
            placement,
            model_type=file.model_type,
            file_type=file.type,
            file_format=file.format,
        )
        if text not in self._directories:
            self._directories[text] = _Filler(Template.parse(text, kind="directory"))
        directory = self._directories[text].shared(file)
        return _Site(file, directory, self._name(placement.filename, file))

    def _name(self, text: str | None, file: LockedFile) -> SafeName:
        if text is None:
            own = file.name.rstrip(". ")
            return safe_name(own or EMPTY, mark=file.file_id)
        if text not in self._names:
            self._names[text] = _Filler(Template.parse(text, kind="filename"))
        return self._names[text].own(file)


def _part(sites: Sequence[_Site]) -> None:
    """Tell apart what would share a path, or lie where another file needs a directory."""
    contents: dict[int, str] = {}
    for site in sites:
        content = contents.setdefault(site.file.file_id, site.file.sha256)
        if content != site.file.sha256:
            raise UserError(
                Code.LOCK_INVALID, f"the lock gives file {site.file.file_id} two contents"
            )
    for _ in range(_ROUNDS):
        clashing = _clashing(sites)
        if not clashing:
            return
        for site in clashing:
            site.mark()
    raise UserError(
        Code.LOCK_INVALID,
        f"no names could be found that keep apart {', '.join(site.path for site in sites[:3])}",
    )


def _clashing(sites: Iterable[_Site]) -> list[_Site]:
    """Return the sites to mark; one file at one path twice is no clash, and spelled one way."""
    at: dict[str, list[_Site]] = defaultdict(list)
    for site in sites:
        at[collision_key(site.path)].append(site)
    directories: set[str] = set()
    for key in at:
        parent = key.rpartition("/")[0]
        while parent and parent not in directories:
            directories.add(parent)
            parent = parent.rpartition("/")[0]
    clashing: list[_Site] = []
    for key, group in at.items():
        if len({site.file.file_id for site in group}) > 1 or key in directories:
            clashing.extend([site for site in group if not site.is_marked] or group)
        elif len(group) > 1:
            first = min(group, key=lambda site: site.path)
            for site in group:
                site.follow(first)
    return clashing
