"""Find files of Civitai by their SHA-256, where nothing else is known of them.

Of several versions that hold the same bytes it is the one with the lowest id, which is where
they first were.
"""

from collections.abc import Iterable, Mapping

from civsync.core.questions import AskOwners, Owners
from civsync.core.request import ById, Request
from civsync.core.values import dataclass
from civsync.decide.lookup import Asking, Catalog, Target, look_up


@dataclass(frozen=True, slots=True, kw_only=True)
class Whereabouts:
    """A file of a version."""

    model_id: int
    version_id: int
    file_id: int


def find_by_hash(sha256s: Iterable[str]) -> Asking[Mapping[str, Whereabouts]]:
    """Return where the files with these hashes (lower case) are; unknown ones are left out."""
    wanted = tuple(sorted(set(sha256s)))
    if not wanted:
        return {}
    (answer,) = yield (AskOwners(wanted),)
    if not isinstance(answer, Owners):
        raise TypeError(f"{type(answer).__name__} does not tell owners")
    owners = {
        sha256: sorted({version for _, version in pairs}) for sha256, pairs in answer.owners.items()
    }
    versions = sorted({version for each in owners.values() for version in each[:_LOOKED_AT]})
    catalog = Catalog()
    targets = [Target(request=Request(model_id=None, version=ById(each))) for each in versions]
    yield from look_up(targets, catalog)
    found: dict[str, Whereabouts] = {}
    for sha256, numbers in owners.items():
        for shown in filter(None, map(catalog.version, numbers)):
            model, version = shown
            ids = [file.id for file in version.files if file.sha256 == sha256]
            if ids and sha256 not in found:
                found[sha256] = Whereabouts(
                    model_id=model.id, version_id=version.id, file_id=min(ids)
                )
    return found


_LOOKED_AT = 20
"""Versions looked at for one hash: a popular VAE lies in hundreds."""
