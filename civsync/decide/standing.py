"""How an entry stands against upstream, as values: what is locked, what an upgrade would give.

Nothing is asked or decided here; `outdated` makes these values, the command line shows them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from enum import StrEnum

from civsync.core.catalog import RemoteModel, RemoteVersion
from civsync.core.errors import CivsyncError
from civsync.core.lock import LockedEntry, LockedFile
from civsync.core.names import SafePath
from civsync.core.request import Entry
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """One version of one model, as people know it. The texts are as they came."""

    model_id: int
    model: str
    version_id: int
    version: str
    base_model: str
    published_at: str


class Why(StrEnum):
    """Why an upgrade does not lead to a version, or what became of a locked one."""

    HELD = "held"
    """The entry has `hold:`."""

    PINNED = "pinned"
    """The entry names another version by its id or name."""

    TOO_NEW = "too-new"
    """`exclude_newer` keeps it out."""

    EARLY_ACCESS = "early-access"
    """It is sold as early access."""

    POLICY = "policy"
    """A rule of the policy forbids it."""

    UNLOCKABLE = "unlockable"
    """No file of it is what the entry asks for, or it cannot be downloaded."""

    GONE = "gone"
    """No endpoint of Civitai shows the locked version."""

    UNLISTED = "unlisted"
    """The locked version, or its model, is not shown where it was."""

    ARCHIVED = "archived"
    """Its creator archived the model: nothing of it can be downloaded."""

    TAKEN_DOWN = "taken-down"
    """Moderators took the model's pictures down; its files are still served."""

    FAILED = "failed"
    """The entry cannot be locked as things are: an upgrade would fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One answer to "why not?".

    `model_id` and `version` say what it is about, 0 and None for the whole entry. `rule` is
    the key of the manifest that forbids it, `allowed_from` the ISO date on which the reason
    ends; both may be "".
    """

    why: Why
    model_id: int = 0
    version: VersionFacts | None = None
    text: str = ""
    rule: str = ""
    allowed_from: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How one entry stands.

    `available` are the versions that `lock --upgrade` would lock, `newest` those that it
    would lock if nothing were in the way; for a pinned entry the latest for the same base
    model. `changes` are what an upgrade would change in the lock: "files", or the names of
    facts about the same files. With a `failure` an upgrade fails and changes nothing.
    """

    entry: Entry
    locked: tuple[VersionFacts, ...] = ()
    available: tuple[VersionFacts, ...] = ()
    newest: tuple[VersionFacts, ...] = ()
    changes: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()
    failure: CivsyncError | None = None

    @property
    def is_current(self) -> bool:
        """Whether there is nothing to say of this entry."""
        return not (self.changes or self.reasons or self.failure)

    @property
    def came(self) -> tuple[VersionFacts, ...]:
        """Versions of models that the lock does not have yet."""
        known = {each.model_id for each in self.locked}
        return tuple(each for each in self.available if each.model_id not in known)

    @property
    def went(self) -> tuple[VersionFacts, ...]:
        """Locked versions of models that an upgrade would drop."""
        known = {each.model_id for each in self.available}
        return tuple(each for each in self.locked if each.model_id not in known)

    @property
    def moves(self) -> tuple[int, ...]:
        """Models, by id, that stay, with other versions than now."""
        before, after = _by_model(self.locked), _by_model(self.available)
        return tuple(sorted(m for m in before.keys() & after.keys() if before[m] != after[m]))


def facts_of(model: RemoteModel, version: RemoteVersion) -> VersionFacts:
    """Return what is told of a version that Civitai shows."""
    return VersionFacts(
        model_id=model.id,
        model=model.name,
        version_id=version.id,
        version=version.name,
        base_model=version.base_model,
        published_at=version.published_at or "",
    )


def locked_facts(entry: LockedEntry | None) -> tuple[VersionFacts, ...]:
    """Return each version that an entry of a lock holds once, by model and version."""
    found: dict[tuple[int, int], VersionFacts] = {}
    for file in entry.files if entry is not None else ():
        found[file.model_id, file.version_id] = VersionFacts(
            model_id=file.model_id,
            model=file.model,
            version_id=file.version_id,
            version=file.version,
            base_model=file.base_model,
            published_at=file.published_at,
        )
    return tuple(found[ids] for ids in sorted(found))


def changes_of(before: LockedEntry | None, after: LockedEntry | None) -> tuple[str, ...]:
    """Return in what two states of an entry differ: "files", else the names of facts.

    Where the files go is worked out offline, and no business of Civitai.
    """
    if before is None or after is None:
        return () if before is after else ("files",)
    old, new = _files(before.files), _files(after.files)
    if {(*ids, old[ids].sha256) for ids in old} != {(*ids, new[ids].sha256) for ids in new}:
        return ("files",)
    found = [
        name
        for name in ("request", "gone", "waiting")
        if getattr(before, name) != getattr(after, name)
    ]
    found += {
        field.name
        for ids, file in old.items()
        for field in fields(LockedFile)
        if getattr(file, field.name) != getattr(new[ids], field.name)
    }
    return tuple(sorted(found))


def _files(files: Iterable[LockedFile]) -> Mapping[tuple[int, int], LockedFile]:
    """Return files by version and file id, without their places."""
    nowhere = SafePath("")
    return {(file.version_id, file.file_id): replace(file, path=nowhere) for file in files}


def _by_model(versions: Iterable[VersionFacts]) -> Mapping[int, set[int]]:
    found: dict[int, set[int]] = {}
    for each in versions:
        found.setdefault(each.model_id, set()).add(each.version_id)
    return found
