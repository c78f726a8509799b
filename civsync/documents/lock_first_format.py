"""Read locks of the first format, in which models and versions were values of their own.

It is read for ever and never written: `civsync lock` writes what it read in today's format.
What comes out is as unchecked as the text was.
"""

from collections.abc import Mapping
from dataclasses import field

from civsync.core.lock import LockedEntry, LockedFile
from civsync.core.names import SafePath
from civsync.core.values import dataclass
from civsync.documents.json_codec import decode


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    id: int
    name: str
    type: str
    creator: str = ""
    tag: str = ""
    nsfw: bool = False
    license: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    id: int
    model_id: int
    name: str
    base_model: str = ""
    published_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    path: str
    size: int
    sha256: str
    model_id: int
    version_id: int
    file_id: int
    name: str
    type: str
    format: str = ""
    precision: str = ""
    quant: str = ""
    size_class: str = ""
    hashes: Mapping[str, str] = field(default_factory=dict)
    pickle_scan: str = ""
    virus_scan: str = ""
    owner_version_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    key: str
    request: Mapping[str, str]
    models: tuple[_Model, ...] = ()
    versions: tuple[_Version, ...] = ()
    files: tuple[_File, ...] = ()
    priority: int = 0
    gone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Document:
    entries: tuple[_Entry, ...]


def read_first_format(data: bytes) -> tuple[LockedEntry, ...]:
    """Return the entries of a lock of the first format. Raises CodecError."""
    return tuple(_today(entry) for entry in decode(data, _Document).entries)


def _today(entry: _Entry) -> LockedEntry:
    models = {model.id: model for model in entry.models}
    versions = {version.id: version for version in entry.versions}
    return LockedEntry(
        key=entry.key,
        # What the key says was said here too.
        request={key: text for key, text in entry.request.items() if key != "target"},
        files=tuple(
            _file(file, models.get(file.model_id), versions.get(file.version_id))
            for file in entry.files
        ),
        priority=entry.priority,
        gone=entry.gone,
    )


def _file(file: _File, model: _Model | None, version: _Version | None) -> LockedFile:
    return LockedFile(
        path=SafePath(file.path),
        size=file.size,
        sha256=file.sha256,
        model_id=file.model_id,
        version_id=file.version_id,
        file_id=file.file_id,
        owner_version_id=file.owner_version_id,
        name=file.name,
        type=file.type,
        format=file.format,
        precision=file.precision,
        quant=file.quant,
        size_class=file.size_class,
        hashes=file.hashes,
        pickle_scan=file.pickle_scan,
        virus_scan=file.virus_scan,
        model=model.name if model else "",
        model_type=model.type if model else "",
        creator=model.creator if model else "",
        tag=model.tag if model else "",
        nsfw=model.nsfw if model else False,
        license=", ".join(sorted(model.license)) if model else "",
        version=version.name if version else "",
        base_model=version.base_model if version else "",
        published_at=(version.published_at or "") if version else "",
    )
