"""Tell offline whether a lock is still what the manifest asks for.

A new version upstream makes no lock stale: Civitai is not asked, and not thought of.
"""

from collections.abc import Iterable
from enum import StrEnum

from civsync.core.lock import Lock, LockedEntry, LockedFile
from civsync.core.request import Entry, Manifest
from civsync.core.values import dataclass
from civsync.decide.place import place
from civsync.decide.satisfy import Difference, differing_keys, shortfalls


class Reason(StrEnum):
    """Why an entry of the lock has to change."""

    MISSING = "missing"
    """The lock does not have the entry."""

    DROPPED = "dropped"
    """The manifest does not have the entry any more."""

    CHANGED = "changed"
    """The manifest asks for something else than was locked."""

    UNSATISFIED = "unsatisfied"
    """The lock says to be what is asked for, and its files are not that."""

    MOVED = "moved"
    """Only where files go, or in which order they come, has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stale:
    """One entry that differs; `keys` are (key, locked value, wanted value), "" for absent."""

    entry_key: str
    reason: Reason
    keys: tuple[Difference, ...] = ()

    @property
    def needs_network(self) -> bool:
        """Whether Civitai has to be asked."""
        return self.reason in (Reason.MISSING, Reason.CHANGED, Reason.UNSATISFIED)

    @property
    def unhashed(self) -> bool:
        """Whether nothing is wrong but that files have no hash yet."""
        return self.reason is Reason.UNSATISFIED and all(key == "sha256" for key, _, _ in self.keys)

    def __str__(self) -> str:
        """Return one line that names the entry and the keys that differ."""
        match self.reason:
            case Reason.MISSING:
                return f"{self.entry_key}: not in the lock"
            case Reason.DROPPED:
                return f"{self.entry_key}: not in the manifest any more"
            case Reason.CHANGED | Reason.UNSATISFIED | Reason.MOVED:
                changes = "; ".join(
                    f"{key}: {old or '(none)'} -> {new or '(none)'}" for key, old, new in self.keys
                )
                return f"{self.entry_key}: {changes}"


def staleness(manifest: Manifest, lock: Lock) -> tuple[Stale, ...]:
    """Return every entry in which `lock` is not what `manifest` asks for, manifest order first.

    Raises UserError lock-invalid, as `place` does, for a lock that contradicts itself.
    """
    locked = {entry.key: entry for entry in lock.entries}
    found: dict[str, Stale] = {}
    placeable: list[LockedEntry] = []
    for entry in manifest.entries:
        stale = _compare(entry, locked.get(entry.key))
        if stale is not None:
            found[entry.key] = stale
        if stale is None or stale.reason is Reason.CHANGED:
            # An entry that changed still takes up its paths until it is locked anew.
            placeable.append(locked[entry.key])
    wanted = {entry.key for entry in manifest.entries}
    dropped = [
        Stale(entry_key=entry.key, reason=Reason.DROPPED)
        for entry in lock.entries
        if entry.key not in wanted
    ]
    moved = [each for each in _moved(manifest, placeable) if each.entry_key not in found]
    return (*found.values(), *dropped, *moved)


def needs_network(stales: Iterable[Stale]) -> bool:
    """Tell whether Civitai has to be asked to bring the lock up to date."""
    return any(stale.needs_network for stale in stales)


def _compare(entry: Entry, locked: LockedEntry | None) -> Stale | None:
    if locked is None:
        return Stale(entry_key=entry.key, reason=Reason.MISSING)
    keys = differing_keys(entry.request, locked)
    if keys:
        return Stale(entry_key=entry.key, reason=Reason.CHANGED, keys=keys)
    keys = shortfalls(entry.request, locked)
    if keys:
        return Stale(entry_key=entry.key, reason=Reason.UNSATISFIED, keys=keys)
    return None


def _moved(manifest: Manifest, entries: Iterable[LockedEntry]) -> Iterable[Stale]:
    before = {entry.key: entry for entry in entries}
    for placed in place(manifest, tuple(before.values())):
        old = before[placed.key]
        if placed == old:
            continue
        keys: list[Difference] = []
        if _roots(old) != _roots(placed):
            keys.append(("roots", ", ".join(_roots(old)), ", ".join(_roots(placed))))
        for was, file in zip(old.files, placed.files, strict=True):
            keys.extend(_moves(was, file))
        if placed.priority != old.priority:
            keys.append(("priority", str(old.priority), str(placed.priority)))
        if placed.groups != old.groups:
            keys.append(("groups", ", ".join(old.groups), ", ".join(placed.groups)))
        if placed.protect is not old.protect:
            keys.append(("protect", _flag(old.protect), _flag(placed.protect)))
        yield Stale(entry_key=placed.key, reason=Reason.MOVED, keys=tuple(keys))


def _roots(entry: LockedEntry) -> list[str]:
    """Return the names of the roots that an entry's files lie in; none for the only root."""
    return sorted({name for file in entry.files for name in file.places} - {""})


def _moves(was: LockedFile, file: LockedFile) -> Iterable[Difference]:
    """Yield where a file goes elsewhere in a root that both know."""
    for name, path in file.places.items():
        before = was.places.get(name)
        if before not in (None, path):
            yield (f"path in {name}" if name else "path", before or "", path)


def _flag(value: bool | None) -> str:
    return "" if value is None else str(value).lower()
