"""Write down what was chosen as values of the lock.

What the lock knew already stays as it was unless the entry is upgraded: a creator who
renames a model must not move files that nobody asked to move.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from typing import Final

from civsync.core.catalog import RemoteFile, RemoteModel, RemoteVersion
from civsync.core.codes import Code
from civsync.core.errors import IntegrityError
from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.core.names import SafePath, safe_name
from civsync.core.values import dataclass
from civsync.decide.kinds import extension
from civsync.decide.policy import Remark

_ACCEPT: Final = "Find out why; to accept it, delete the entry from civsync.lock and lock again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the lock says already, by id.

    `models` and `versions` are any locked file of them in this entry, `own` the files of
    this entry, `others` those of the whole lock.
    """

    models: Mapping[int, LockedFile] = field(default_factory=dict)
    versions: Mapping[int, LockedFile] = field(default_factory=dict)
    own: Mapping[int, LockedFile] = field(default_factory=dict)
    others: Mapping[int, LockedFile] = field(default_factory=dict)

    def file(self, file_id: int) -> LockedFile | None:
        """Return what the lock says of a file: in this entry, else in any other."""
        return self.own.get(file_id) or self.others.get(file_id)


def known_of(before: LockedEntry | None, files: Mapping[int, LockedFile]) -> Known:
    """Return what one entry goes by: what it was locked as, and the `files` of the whole lock."""
    if before is None:
        return Known(others=files)
    return Known(
        models={file.model_id: file for file in before.files},
        versions={file.version_id: file for file in before.files},
        own={file.file_id: file for file in before.files},
        others=files,
    )


def files_of(lock: Lock) -> dict[int, LockedFile]:
    """Return the files of a lock by id; one that has a hash wins over one that has none."""
    found: dict[int, LockedFile] = {}
    for _, file in lock.files():
        if file.sha256 or file.file_id not in found:
            found[file.file_id] = file
    return found


def record_file(
    file: RemoteFile, version: RemoteVersion, model: RemoteModel, known: Known, *, fresh: bool
) -> tuple[LockedFile, Sequence[Remark]]:
    """Return what the lock remembers of a file, and what is remarkable about that.

    `fresh` says to follow Civitai where it names things anew. The path is provisional. A
    hash that an earlier run recorded for want of a published one is kept. Raises
    IntegrityError content-changed if this file id had another SHA-256, or another size
    when its hash was recorded.
    """
    before = known.file(file.id)
    remarks: list[Remark] = []
    name = file.name
    sha256 = file.sha256 or ""
    owner = None
    if before is not None:
        if sha256 and before.sha256 and sha256 != before.sha256:
            raise IntegrityError(
                Code.CONTENT_CHANGED,
                f"file {file.id} {file.name} was locked with SHA-256 {before.sha256},"
                f" and Civitai now publishes {sha256}",
                hint=_ACCEPT,
                data={"file_id": file.id, "locked": before.sha256, "published": sha256},
            )
        if not sha256 and before.sha256 and file.size != before.size:
            raise IntegrityError(
                Code.CONTENT_CHANGED,
                f"file {file.id} {file.name} had {before.size} bytes when its hash was"
                f" recorded, and has {file.size} now",
                hint=_ACCEPT,
                data={"file_id": file.id, "locked": before.size, "published": file.size},
            )
        sha256 = sha256 or before.sha256
        owner = before.owner_version_id if before.version_id == version.id else None
        if before.name != file.name:
            follow = fresh or extension(before.name) != extension(file.name)
            name = file.name if follow else before.name
            told = "the lock follows" if follow else "the lock keeps the old name"
            remarks.append(
                ("renamed", f"file {file.id} {before.name} is called {file.name} now; {told}")
            )
    locked = LockedFile(
        path=SafePath(safe_name(name, mark=file.id)),
        size=file.size or 0,
        sha256=sha256,
        model_id=model.id,
        version_id=version.id,
        file_id=file.id,
        name=name,
        type=file.type,
        format=file.format,
        precision=file.precision,
        quant=file.quant,
        size_class=file.size_class,
        hashes={kind: file.hashes[kind] for kind in sorted(file.hashes) if kind != "SHA256"},
        pickle_scan=file.pickle_scan.value,
        virus_scan=file.virus_scan.value,
        owner_version_id=owner,
        model=model.name,
        model_type=model.type,
        creator=model.creator,
        tag=model.tags[0] if model.tags else "",
        nsfw=model.nsfw,
        rating=version.rating,
        license=", ".join(model.license.words),
        version=version.name,
        base_model=version.base_model,
        published_at=version.published_at or "",
    )
    locked = _with_version(locked, known.versions.get(version.id), fresh=fresh)
    locked = _with_model(locked, known.models.get(model.id), fresh=fresh, whole=model.whole)
    if before is not None and locked.at(before.places) == before:
        # The very value: an upgrade that changes little then holds a large lock once.
        return before, remarks
    return locked, remarks


def _with_model(
    locked: LockedFile, before: LockedFile | None, *, fresh: bool, whole: bool
) -> LockedFile:
    """Keep how the lock calls the model, unless it shall follow what Civitai says."""
    if before is None or (fresh and whole):
        return locked
    locked = replace(locked, creator=before.creator, tag=before.tag)
    if not whole:
        # The endpoint of a version says nothing of creator, tags and license.
        locked = replace(locked, license=before.license)
    if fresh:
        return locked
    return replace(locked, model=before.model, model_type=before.model_type, nsfw=before.nsfw)


def _with_version(locked: LockedFile, before: LockedFile | None, *, fresh: bool) -> LockedFile:
    """Keep how the lock calls the version, unless it shall follow what Civitai says.

    Date and rating place nothing, and rules are about what is known today.
    """
    if before is None:
        return locked
    locked = replace(
        locked,
        published_at=locked.published_at or before.published_at,
        rating=locked.rating or before.rating,
    )
    if fresh:
        return locked
    return replace(locked, version=before.version, base_model=before.base_model)
