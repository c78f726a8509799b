"""Work out what to do so that the disk holds what the lock says, and nothing stale.

`make_plan` is total (every wanted and every owned path gets exactly one action, but for
what a selection of groups leaves alone) and idempotent: planning the world that a plan
leads to gives only Keep and Satisfied. It reads no disk; it believes the inventory it is
given.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final, assert_never

from civsync.core.codes import Code
from civsync.core.disk import (
    Absent,
    Inventory,
    Linked,
    Obstacle,
    Owned,
    Receipt,
    Regular,
    Sight,
)
from civsync.core.errors import CivsyncError, SafetyError
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.core.plan import (
    Action,
    Blocked,
    Fetch,
    Keep,
    Move,
    Plan,
    Protected,
    Release,
    Replace,
    Retire,
    Satisfied,
    Want,
)
from civsync.core.values import dataclass
from civsync.decide.groups import NOTHING, LeftOut
from civsync.decide.leftovers import Leftovers, content_of

_IN_WORDS: Final = {
    "directory": "a directory",
    "symlink": "a symbolic link",
    "special": "something that is no file (a pipe, socket or device)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What the user allowed or asked for beyond the usual.

    `prune_unselected` gives up what a selection of groups leaves out as if the lock did not
    have it. `hashes_to_come` is for a mere look: what has no hash would be downloaded to
    record it. `unprotect` are files that the user named, whose protection ends.
    """

    force_modified: bool = False
    prune: bool = True
    prune_unselected: bool = False
    hashes_to_come: bool = False
    unprotect: frozenset[SafePath] = frozenset()


def wanted_files(lock: Lock) -> dict[SafePath, Want]:
    """Return the lock by path. The same file wanted by two entries counts once.

    It is that of the entry with the greater priority, or of the first one; it is protected if
    any of them says so.
    """
    wants: dict[SafePath, Want] = {}
    for entry, file in lock.files():
        known = wants.get(file.path)
        if known is None:
            wants[file.path] = Want(entry=entry, file=file)
            continue
        first = entry if entry.priority > known.entry.priority else known.entry
        said = {entry.protect, known.entry.protect} - {None}
        protect = any(said) if said else None
        first = first if first.protect is protect else replace(first, protect=protect)
        wants[file.path] = Want(entry=first, file=file if first.key == entry.key else known.file)
    return wants


def paths_of_interest(
    wants: Iterable[SafePath], receipt: Receipt, left_out: LeftOut = NOTHING
) -> list[SafePath]:
    """Return every path that a survey must look at, sorted.

    The user's own files that a later selection may want are looked at, too, so that they
    stay known and need not be read again then.
    """
    return sorted({*wants, *receipt.owned, *(receipt.known.keys() & left_out.paths)})


def recognize(inventory: Inventory, receipt: Receipt) -> dict[SafePath, Regular | None]:
    """Fill in the content of files whose stamp is one that the receipt knows.

    Returns the regular files of `inventory`: with content where it is known without
    reading, None where the file must be hashed.
    """
    found: dict[SafePath, Regular | None] = {}
    for path, sight in inventory.items():
        if not isinstance(sight, Regular):
            continue
        found[path] = sight if sight.sha256 is not None else None
        for note in (receipt.owned.get(path), receipt.known.get(path)):
            if found[path] is None and note is not None and note.stamp == sight.stamp:
                found[path] = Regular(sight.stamp, note.sha256)
    return found


def must_hash(
    inventory: Inventory, wants: Mapping[SafePath, Want], receipt: Receipt
) -> list[SafePath]:
    """Return the files whose content cannot be told without reading them, sorted.

    A foreign file of another size than the locked one is not read: it cannot be it. Nor is
    one that nothing wants.
    """
    paths: list[SafePath] = []
    for path, known in recognize(inventory, receipt).items():
        if known is not None:
            continue
        sight = inventory[path]
        want = wants.get(path)
        if (
            isinstance(sight, Regular)
            and path not in receipt.owned
            and (want is None or want.file.size != sight.stamp.size)
        ):
            continue
        paths.append(path)
    return sorted(paths)


def make_plan(
    lock: Lock,
    inventory: Inventory,
    receipt: Receipt,
    allowance: Allowance | None = None,
    left_out: LeftOut = NOTHING,
) -> Plan:
    """Say what turns `inventory` into what `lock` wants.

    `inventory` must hold every path of `paths_of_interest`; a regular file without a
    digest there counts as having some other content. `left_out` goes with a `lock` of
    selected entries alone (`civsync.decide.groups.choose`). What entries say of protection
    is in the `receipt` already (`civsync.decide.protection`).
    """
    allowance = allowance or Allowance()
    wants = wanted_files(lock)
    protected = frozenset(path for path, owned in receipt.owned.items() if owned.protect)
    leftovers = Leftovers(
        wants, inventory, receipt, NOTHING if allowance.prune_unselected else left_out, protected
    )
    seen = _Seen(
        inventory=inventory,
        receipt=receipt,
        allowance=allowance,
        leftovers=leftovers,
        protected=protected,
        left_out=left_out,
    )
    actions = [_for_wanted(wants[path], seen) for path in sorted(wants)]
    for owned in leftovers.remaining():
        sight = inventory.get(owned.path, Absent())
        if leftovers.is_left_alone(owned):
            if isinstance(sight, Absent):
                actions.append(Release(owned=owned, missing=True))
            continue
        if leftovers.is_another_spelling(owned.path, sight):
            # Retiring it would take away the file that is wanted.
            actions.append(Release(owned=owned, missing=True))
            continue
        action = _for_unwanted(owned, sight, leftovers, prune=allowance.prune)
        if isinstance(action, Retire) and left_out.claims(owned):
            # The guard counts it: no new version takes its place.
            action = replace(action, replaced=False, unselected=True)
        if isinstance(action, Retire) and owned.path in protected:
            action = Protected(owned=action.owned)
        if action is not None:
            actions.append(action)
    return Plan(actions=tuple(actions), unselected=left_out.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """All that decides what becomes of a wanted path."""

    inventory: Inventory
    receipt: Receipt
    allowance: Allowance
    leftovers: Leftovers
    protected: frozenset[SafePath]
    left_out: LeftOut

    def protects(self, want: Want) -> bool:
        """Tell whether what is placed for `want` is protected: by it, by others, or before."""
        others = want.path in self.protected or want.path in self.left_out.protected_paths
        return bool(want.entry.protect) or others


def _for_wanted(want: Want, seen: _Seen) -> Action:
    path = want.path
    if not want.file.sha256:
        if seen.allowance.hashes_to_come:
            return Fetch(want=want)
        return Blocked(want=want, error=_unverified(path))
    sight = seen.inventory.get(path, Absent())
    match sight:
        case Absent():
            source = seen.leftovers.take(want.file.sha256)
            protect = seen.protects(want)
            if source is None:
                return Fetch(want=want, protect=protect)
            return Move(want=want, source=source, protect=protect)
        case Linked(at=at, kind=kind):
            return Blocked(want=want, error=_linked(path, at, kind))
        case Obstacle(kind=kind):
            error = SafetyError(
                Code.OBSTACLE,
                f"{_IN_WORDS.get(kind, kind)} stands where a file belongs",
                subject=path,
            )
            return Blocked(want=want, error=error)
        case Regular():
            return _for_regular(want, sight, seen)
        case _:
            assert_never(sight)


def _for_regular(want: Want, sight: Regular, seen: _Seen) -> Action:
    path, file = want.path, want.file
    owned = seen.receipt.owned.get(path)
    if owned is not None:
        content = content_of(sight, owned.stamp, owned.sha256)
        if content == file.sha256:
            return _keep(want, sight, owned, protect=seen.protects(want))
        if seen.leftovers.holds_back(owned, want):
            return Blocked(want=want, error=_unselected(owned))
        modified = content != owned.sha256
        if modified and not seen.allowance.force_modified:
            return Blocked(want=want, error=_modified(path))
        if path in seen.protected:
            return Blocked(want=want, error=_protected_file(owned))
        return Replace(
            want=want,
            old=sight.stamp,
            old_sha256=content or "unknown",
            modified=modified,
            protect=seen.protects(want),
        )
    ours = seen.leftovers.take_spelling(path, sight)
    if ours is not None:
        if seen.leftovers.holds_back(ours, want):
            return Blocked(want=want, error=_unselected(ours))
        if ours.path in seen.protected:
            return Blocked(want=want, error=_protected_file(ours))
        protect = seen.protects(want)
        if ours.sha256 == file.sha256:
            return Move(want=want, source=ours, protect=protect)
        # It stays ours under the old name until the next look, so that an interrupted
        # replacement loses nothing.
        return Replace(want=want, old=sight.stamp, old_sha256=ours.sha256, protect=protect)
    known = seen.receipt.known.get(path)
    content = content_of(sight, known.stamp, known.sha256) if known else sight.sha256
    if content == file.sha256:
        return Satisfied(want=want, stamp=sight.stamp)
    return Blocked(want=want, error=_foreign(want, sight))


def _keep(want: Want, sight: Regular, owned: Owned, *, protect: bool) -> Keep:
    touched = owned.stamp != sight.stamp or owned.sha256 != want.file.sha256
    return Keep(
        want=want,
        stamp=sight.stamp if touched else None,
        protect=protect if protect is not owned.protect else None,
    )


def _for_unwanted(
    owned: Owned, sight: Sight, leftovers: Leftovers, *, prune: bool
) -> Action | None:
    match sight:
        case Regular() if content_of(sight, owned.stamp, owned.sha256) == owned.sha256:
            if not prune:
                return None
            seen = replace(owned, stamp=sight.stamp)
            return Retire(owned=seen, replaced=leftovers.is_replaced(owned))
        case Absent():
            return Release(owned=owned, missing=True)
        case Regular() | Obstacle() | Linked():
            return Release(owned=owned, missing=False)
        case _:
            assert_never(sight)


def _unverified(path: SafePath) -> CivsyncError:
    return SafetyError(
        Code.UNVERIFIED,
        "the lock has no SHA-256 for this file, so no bytes can be told to be right",
        subject=path,
    )


def _linked(path: SafePath, at: str, kind: str) -> CivsyncError:
    if kind == "symlink":
        return SafetyError(
            Code.SYMLINKED_DIRECTORY,
            f"{at} is a symbolic link, and {path} lies behind it",
            subject=path,
            data={"link": at},
        )
    if kind == "disk":
        return SafetyError(
            Code.UNDECLARED_DISK,
            f"{at} is on another disk, nobody declared that, and {path} lies there",
            subject=path,
            data={"directory": at},
        )
    return SafetyError(Code.OBSTACLE, f"{at} is in the way: it is not a directory", subject=path)


def _modified(path: SafePath) -> CivsyncError:
    return SafetyError(
        Code.MODIFIED_FILE, "this file was changed since civsync placed it", subject=path
    )


def _unselected(owned: Owned) -> CivsyncError:
    return SafetyError(
        Code.UNSELECTED_FILE,
        f"a file of {owned.entry}, whose groups are not selected, is in the way",
        subject=owned.path,
        data={"entry": owned.entry},
    )


def _protected_file(owned: Owned) -> CivsyncError:
    return SafetyError(
        Code.PROTECTED_FILE,
        "the lock wants this file moved or replaced, and it is protected",
        subject=owned.path,
        data={"entry": owned.entry},
    )


def _foreign(want: Want, sight: Regular) -> CivsyncError:
    return SafetyError(
        Code.FOREIGN_FILE,
        "a file that civsync did not place is in the way",
        subject=want.path,
        data={"size": sight.stamp.size, "sha256": sight.sha256, "wanted": want.file.sha256},
    )
