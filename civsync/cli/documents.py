"""Read and write the manifest and the lock of a project."""

import os
import stat
from collections.abc import Mapping
from typing import TYPE_CHECKING

from civsync.cli.project import Project
from civsync.cli.texts import blake3_of_text, read_bytes
from civsync.core.codes import Code
from civsync.core.errors import UserError

if TYPE_CHECKING:
    from civsync.core.lock import Lock
    from civsync.core.request import Manifest
    from civsync.core.roots import Roots


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
        digests[path] = blake3_of_text(text)
        return text

    text = _present(project, data)
    return read_manifest(text, name=project.manifest.name, load=load), digests


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

    folder, name = os.path.split(os.path.realpath(project.lock))
    folder_of_lock = Beneath(folder, durable=project.durable)
    with faults_of("write", str(project.lock)), folder_of_lock.folder("") as opened:
        write_whole(opened, name, data)
