"""Give every locked file its path, from what the lock itself knows. Nothing is asked.

So an edit to `layout`, `directories`, `directory` or `filename` moves files without the
network. No two files ever share a path, also not on a disk that folds case or normalizes
Unicode: all that would are told apart by their file ids.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.lock import LockedEntry, LockedFile, LockedModel, LockedVersion, sort_key
from civsync.core.names import SafeName, SafePath, collision_key, join, marked, split_suffix
from civsync.core.request import Layout, Manifest, Placement
from civsync.decide.kinds import WEIGHT_TYPES, stands_for_model
from civsync.documents.layout_tables import FILE_TYPE_PLACED_AS, FORMAT_PLACED_AS
from civsync.documents.templates import FIELDS, Field, Template

_ROUNDS = 10
"""Marks may make a new collision; so many rounds are far more than names can be made to need."""


def place(manifest: Manifest, entries: Sequence[LockedEntry]) -> tuple[LockedEntry, ...]:
    """Return `entries` in the order of their keys, with paths and priority as `manifest` says.

    Entries that the manifest does not know are left out. Raises UserError lock-invalid if
    a file's model or version is not recorded with it, or one file id has two contents.
    """
    wanted = {entry.key: entry for entry in manifest.entries}
    known = sorted((each for each in entries if each.key in wanted), key=lambda e: sort_key(e.key))
    renderer = _Renderer(manifest.layout)
    sites = [
        [renderer.site(locked, file, wanted[locked.key].placement) for file in locked.files]
        for locked in known
    ]
    _part([site for group in sites for site in group])
    return tuple(
        replace(
            locked,
            priority=wanted[locked.key].priority,
            files=tuple(
                file if file.path == site.path else replace(file, path=site.path)
                for file, site in zip(locked.files, group, strict=True)
            ),
        )
        for locked, group in zip(known, sites, strict=True)
    )


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


@dataclass(slots=True, kw_only=True)
class _Site:
    """Where one file shall go. The name changes while sites are told apart."""

    file: LockedFile
    directory: SafePath
    name: SafeName

    @property
    def path(self) -> SafePath:
        return join(self.directory, self.name)

    @property
    def is_marked(self) -> bool:
        return marked(self.name, self.file.file_id) == self.name

    def mark(self) -> None:
        """Put the file id into the name; if it is there, once more."""
        if self.is_marked:
            stem, suffix = split_suffix(self.name)
            self.name = SafeName(f"{stem}_{suffix}")
        self.name = marked(self.name, self.file.file_id)


class _Renderer:
    """Fills templates in; what many files share is rendered once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._directories: dict[str, tuple[Template[SafePath], tuple[str, ...]]] = {}
        self._names: dict[str, Template[SafeName]] = {}
        self._rendered: dict[tuple[str, ...], SafePath] = {}

    def site(self, locked: LockedEntry, file: LockedFile, placement: Placement) -> _Site:
        model = next((each for each in locked.models if each.id == file.model_id), None)
        version = next((each for each in locked.versions if each.id == file.version_id), None)
        if model is None or version is None:
            raise UserError(
                Code.LOCK_INVALID,
                f"the lock does not say what model and version file {file.file_id} belongs to",
                subject=locked.key,
            )
        fields = _fields(model, version, file)
        text = directory_template(
            self._layout,
            placement,
            model_type=model.type,
            file_type=file.type,
            file_format=file.format,
        )
        return _Site(
            file=file,
            directory=self._directory(text, fields),
            name=self._name(placement.filename, fields, file),
        )

    def _directory(self, text: str, fields: dict[str, str]) -> SafePath:
        if text not in self._directories:
            template = Template.parse(text, kind="directory")
            pieces = (piece for component in template.components for piece in component)
            used = tuple(piece.name for piece in pieces if isinstance(piece, Field))
            self._directories[text] = (template, used)
        template, used = self._directories[text]
        key = (text, *(fields[name] for name in used))
        if key not in self._rendered:
            self._rendered[key] = template.render(fields)
        return self._rendered[key]

    def _name(self, filename: str | None, fields: dict[str, str], file: LockedFile) -> SafeName:
        text = filename or ("{name}.{ext}" if fields["ext"] else "{name}")
        if text not in self._names:
            self._names[text] = Template.parse(text, kind="filename")
        return self._names[text].render(fields, mark=file.file_id)


def _fields(model: LockedModel, version: LockedVersion, file: LockedFile) -> dict[str, str]:
    stem, suffix = split_suffix(file.name.rstrip(". "))
    values = (
        model.type,
        version.base_model,
        model.creator,
        model.name,
        str(model.id),
        version.name,
        str(version.id),
        str(file.file_id),
        stem,
        suffix.removeprefix("."),
        file.format,
        file.precision,
        file.quant,
        file.size_class,
        "nsfw" if model.nsfw else "sfw",
        model.tag,
    )
    return dict(zip(FIELDS, values, strict=True))


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
    directories = {key[:end] for key in at for end, char in enumerate(key) if char == "/"}
    clashing: list[_Site] = []
    for key, group in at.items():
        if len({site.file.file_id for site in group}) > 1 or key in directories:
            clashing.extend([site for site in group if not site.is_marked] or group)
        elif len(group) > 1:
            first = min(group, key=lambda site: site.path)
            for site in group:
                site.directory, site.name = first.directory, first.name
    return clashing
