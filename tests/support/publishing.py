"""Publish one file alone, as tests want it: what failed is raised."""

from civsync.core.disk import Stamp
from civsync.core.errors import CivsyncError
from civsync.core.names import SafePath
from civsync.ports import Part, Publication, Store


def publish(store: Store, wanted: Publication) -> Stamp:
    """Give one part its name; raises what `Store.publish` returns for it."""
    (published,) = store.publish([wanted])
    if isinstance(published, CivsyncError):
        raise published
    return published


def publish_part(
    store: Store,
    part: Part,
    path: SafePath,
    *,
    replacing: Stamp | None = None,
    old_sha256: str = "",
) -> Stamp:
    """Do what `publish` does."""
    wanted = Publication(part=part, path=path, replacing=replacing, old_sha256=old_sha256)
    return publish(store, wanted)
