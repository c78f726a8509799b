"""Read and write the manifest and the lock of a project."""

import hashlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from civsync.cli.settings import Project
from civsync.core.codes import Code
from civsync.core.errors import UserError

if TYPE_CHECKING:
    from civsync.core.lock import Lock
    from civsync.core.request import Manifest


def read_bytes(path: Path) -> bytes | None:
    """Return a file's content, or None if it is not there.

    Raises UserError for anything that is there but cannot be read.
    """
    try:
        if stat.S_ISFIFO(path.stat().st_mode):
            raise UserError(
                Code.CONFIG_INVALID,
                "it is a pipe, and reading it could wait for ever",
                subject=str(path),
                hint="Name a file.",
            )
        return path.read_bytes()
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


def parse_manifest(project: Project, data: bytes | None) -> "Manifest":
    """Return the manifest that was read as `data`. Raises as `load_manifest`."""
    from civsync.documents.manifest import read_manifest

    if data is None:
        raise UserError(
            Code.MANIFEST_MISSING, "there is no manifest", subject=str(project.manifest)
        )
    return read_manifest(data, name=project.manifest.name)


def load_lock(project: Project) -> "Lock":
    """Return the lock. Raises UserError lock-missing or DocumentError."""
    return parse_lock(project, read_bytes(project.lock))


def parse_lock(project: Project, data: bytes | None) -> "Lock":
    """Return the lock that was read as `data`. Raises as `load_lock`."""
    from civsync.documents.lock import read_lock

    if data is None:
        raise lock_missing(project)
    return read_lock(data, name=project.lock.name)


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
    """Write the lock durably: the old one stays until the new one is whole.

    Raises DiskError.
    """
    from civsync.disk.beneath import Beneath
    from civsync.disk.durable import write_whole
    from civsync.disk.faults import faults_of

    target = Path(os.path.realpath(project.lock))
    folder_of_lock = Beneath(str(target.parent))
    with faults_of("write", str(project.lock)), folder_of_lock.folder("") as folder:
        write_whole(folder, target.name, data)
