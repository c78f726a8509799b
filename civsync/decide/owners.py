"""Find the version that a linked VAE belongs to.

A creator can link the VAE of another version; its file is then listed with the host's
files, but pinning it under the host gives 404. It is downloaded from the version that owns
it (civitai/civitai: src/server/services/file.service.ts).
"""

from collections.abc import Mapping, Sequence

from civsync.core.catalog import RemoteVersion
from civsync.core.questions import AskOwners, Owners
from civsync.core.values import dataclass
from civsync.decide.lookup import Asking


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """A chosen file that may belong to another version than the `host` that lists it."""

    file_id: int
    sha256: str
    host: RemoteVersion

    @property
    def told(self) -> int | None:
        """The owner, where the host's record leaves no doubt.

        It names one version of a VAE; with two such files, one may be the host's own.
        """
        alone = sum(file.linked for file in self.host.files) == 1
        return self.host.vae_id if alone else None


def find_owners(linked: Sequence[Linked]) -> Asking[Mapping[tuple[int, int], int]]:
    """Return (host version id, file id) to the version to download from.

    The host itself where the file is its own; nothing where nobody knows.
    """
    wanted = sorted({each.sha256 for each in linked if each.told is None and each.sha256})
    holders: Mapping[str, tuple[tuple[int, int], ...]] = {}
    if wanted:
        (answer,) = yield (AskOwners(tuple(wanted)),)
        if not isinstance(answer, Owners):
            raise TypeError(f"{type(answer).__name__} does not tell owners")
        holders = answer.owners
    found: dict[tuple[int, int], int] = {}
    for each in linked:
        owner = each.told or _owner(each, {version for _, version in holders.get(each.sha256, ())})
        if owner is not None:
            found[each.host.id, each.file_id] = owner
    return found


def _owner(linked: Linked, versions: set[int]) -> int | None:
    """Choose among the versions that hold such bytes; the host comes first, then its link."""
    for likely in (linked.host.id, linked.host.vae_id):
        if likely in versions:
            return likely
    return min(versions, default=linked.host.vae_id)
