"""A manifest and its lock, found."""

from pathlib import Path

from civsync.cli.settings import Settings, find_documents
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A manifest and its lock; either file may be missing.

    Unless `durable` the lock is not flushed to the disk when it is written.
    """

    manifest: Path
    lock: Path
    durable: bool = True

    @property
    def name(self) -> str:
        """The manifest's name for messages."""
        return self.manifest.name

    @property
    def folder(self) -> Path:
        """The folder that a relative root lies below."""
        return self.manifest.parent


def find_project(settings: Settings) -> Project:
    """Find the manifest in this folder or the nearest above it that has a manifest or lock."""
    manifest, lock = find_documents(settings)
    return Project(manifest=Path(manifest), lock=Path(lock), durable=settings.durable)
