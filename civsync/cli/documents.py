"""Read and write the manifest and the lock of a project."""

import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from civsync.cli.settings import Project
from civsync.core.codes import Code
from civsync.core.errors import UserError
from civsync.core.limits import LOCK_BYTES
from civsync.disk.digest import sha256_of, text_stamp_of

if TYPE_CHECKING:
    from civsync.core.lock import Lock
    from civsync.core.request import Manifest
    from civsync.core.roots import Roots
    from civsync.documents.settled import TextStamp

T = TypeVar("T")


def read_bytes(path: Path) -> bytes | None:
    """Return a file's content, or None if it is not there.

    Raises UserError for anything that is there but cannot be read, or is too large for any
    document: nothing is taken into memory to find that out.
    """
    return _read(path, Path.read_bytes)


def digest_at(path: Path) -> str:
    """Return `digest_of` what `read_bytes` returns, without holding it. Raises as that."""
    return _read(path, _sha256_at) or digest_of(None)


def is_text_at(path: Path, sha256: str, stamp: "TextStamp | None") -> bool:
    """Tell whether the text at `path` has this digest; it is not read if it has this stamp.

    Raises as `read_bytes`.
    """
    known = stamp is not None and _read(path, _stamp_at) == stamp
    return known or digest_at(path) == sha256


def _stamp_at(path: Path) -> "TextStamp | None":
    with path.open("rb", buffering=0) as file:
        return text_stamp_of(file)


def _sha256_at(path: Path) -> str:
    with path.open("rb", buffering=0) as file:
        return sha256_of(file)


def _read(path: Path, read: Callable[[Path], T]) -> T | None:
    """Return what `read` makes of a file, or None if it is not there. Raises as `read_bytes`."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            raise UserError(
                Code.CONFIG_INVALID,
                "it is a pipe or a device, and reading it could go on for ever",
                subject=str(path),
                hint="Name a file.",
            )
        if status.st_size > LOCK_BYTES:
            raise UserError(
                Code.CONFIG_INVALID,
                f"it has {status.st_size:,} bytes, and no document of civsync is that large",
                subject=str(path),
                hint="Restore it from version control, or name another file.",
            )
        return read(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(
            Code.CONFIG_INVALID,
            f"it cannot be read: {error.strerror}",
            subject=str(path),
            hint="Check the path and its permissions.",
        ) from None


def digest_of(text: bytes | None) -> str:
    """Return the SHA-256 of a document's text, "" for one that is not there."""
    return "" if text is None else hashlib.sha256(text).hexdigest()


def load_manifest(project: Project) -> "Manifest":
    """Return the manifest. Raises UserError manifest-missing or DocumentError."""
    return parse_manifest(project, read_bytes(project.manifest))


def load_head(project: Project, data: bytes | None) -> "tuple[Roots, tuple[str, ...] | None]":
    """Return the roots and the default groups (None for all) of the manifest read as `data`.

    Raises as `load_manifest`. What it includes is not looked at.
    """
    from civsync.documents.manifest import read_head

    return read_head(_present(project, data), name=project.manifest.name)


def parse_manifest(project: Project, data: bytes | None) -> "Manifest":
    """Return the manifest that was read as `data`. Raises as `load_manifest`."""
    return parse_with_includes(project, data)[0]


def parse_with_includes(
    project: Project, data: bytes | None
) -> "tuple[Manifest, Mapping[str, str]]":
    """Return the manifest that was read as `data`, and the digests of what it includes.

    They are of the very texts that were read, by their paths from the manifest's folder.
    Raises as `load_manifest`.
    """
    from civsync.documents.manifest import read_manifest

    digests: dict[str, str] = {}

    def load(path: str) -> bytes:
        text = _read_included(project, path)
        digests[path] = digest_of(text)
        return text

    text = _present(project, data)
    return read_manifest(text, name=project.manifest.name, load=load), digests


def digests_of_includes(project: Project, paths: Iterable[str]) -> Mapping[str, str]:
    """Return the digests of these files by their paths from the manifest's folder, as they are.

    "" stands for what is not there or cannot be read.
    """
    digests = {}
    for path in paths:
        try:
            digests[path] = digest_of(read_bytes(project.manifest.parent / path))
        except UserError:
            digests[path] = ""
    return digests


def _present(project: Project, data: bytes | None) -> bytes:
    if data is None:
        raise UserError(
            Code.MANIFEST_MISSING, "there is no manifest", subject=str(project.manifest)
        )
    return data


def _read_included(project: Project, path: str) -> bytes:
    """Return the text of an included manifest. Raises IncludeError.

    Only a plain file is read, and no more of it than a manifest may have: the path comes
    from the manifest, and that may come from a stranger.
    """
    from civsync.core.limits import MANIFEST_BYTES
    from civsync.documents.includes import IncludeError

    place = project.manifest.parent / path
    try:
        if not stat.S_ISREG(place.stat().st_mode):
            raise IncludeError(f"{path} is no file", hint="Name the manifest itself.")
        with place.open("rb") as file:
            return file.read(MANIFEST_BYTES + 1)
    except FileNotFoundError:
        raise IncludeError(
            f"there is no {path} beside {project.manifest.name}",
            code=Code.MANIFEST_MISSING,
            hint="Correct the path, which is relative to the manifest that has it.",
        ) from None
    except OSError as error:
        raise IncludeError(
            f"{path} cannot be read: {error.strerror}",
            code=Code.CONFIG_INVALID,
            hint="Check the path and its permissions.",
        ) from None


def load_lock(project: Project) -> "Lock":
    """Return the lock. Raises UserError lock-missing or DocumentError."""
    return parse_lock(project, read_bytes(project.lock))


def parse_lock(project: Project, data: bytes | None, *, closely: bool = False) -> "Lock":
    """Return the lock that was read as `data`. Raises as `load_lock`."""
    from civsync.documents.lock import read_lock

    if data is None:
        raise lock_missing(project)
    return read_lock(data, name=project.lock.name, closely=closely)


def lock_missing(project: Project) -> UserError:
    """Return the error for a lock that is not there; it tells whether a manifest is."""
    if project.manifest.exists():
        return UserError(Code.LOCK_MISSING, "there is no lock", subject=str(project.lock))
    return UserError(
        Code.LOCK_MISSING,
        f"there is no lock, and no {project.manifest.name} either",
        subject=str(project.lock),
        hint="Go to the folder of your manifest, name it with --manifest, or run `civsync init`.",
    )


def store_lock(project: Project, data: bytes) -> None:
    """Write the lock as durably as the project says: the old one stays until the new one is whole.

    Raises DiskError.
    """
    from civsync.disk.beneath import Beneath
    from civsync.disk.durable import write_whole
    from civsync.disk.faults import faults_of

    target = Path(os.path.realpath(project.lock))
    folder_of_lock = Beneath(str(target.parent), durable=project.durable)
    with faults_of("write", str(project.lock)), folder_of_lock.folder("") as folder:
        write_whole(folder, target.name, data)
