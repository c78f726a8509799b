"""Work out what to do so that the disk holds what the lock says, and nothing stale.

`make_plan` is total (every wanted and every owned path gets exactly one action) and
idempotent: planning the world that a plan leads to gives only Keep and Satisfied. It
reads no disk; it believes the inventory it is given.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import assert_never

from civsync.core.codes import Code
from civsync.core.disk import Absent, Inventory, Linked, Obstacle, Owned, Receipt, Regular, Stamp
from civsync.core.errors import CivsyncError, IntegrityError, SafetyError
from civsync.core.lock import Lock
from civsync.core.names import SafePath, collision_key
from civsync.core.plan import (
    Action,
    Blocked,
    Fetch,
    Keep,
    Move,
    Plan,
    Release,
    Replace,
    Retire,
    Satisfied,
    Want,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """What the user allowed or asked for beyond the usual."""

    force_modified: bool = False
    prune: bool = True


def wanted_files(lock: Lock) -> dict[SafePath, Want]:
    """Return the lock by path. The same file wanted by two entries counts once."""
    wants: dict[SafePath, Want] = {}
    for entry, file in lock.files():
        wants.setdefault(file.path, Want(entry=entry, file=file))
    return wants


def paths_of_interest(wants: Iterable[SafePath], receipt: Receipt) -> list[SafePath]:
    """Return every path that a survey must look at, sorted."""
    return sorted({*wants, *receipt.owned})


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

    A foreign file of another size than the locked one is not read: it cannot be it.
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
            and want is not None
            and want.file.size != sight.stamp.size
        ):
            continue
        paths.append(path)
    return sorted(paths)


def make_plan(
    lock: Lock, inventory: Inventory, receipt: Receipt, allowance: Allowance | None = None
) -> Plan:
    """Say what turns `inventory` into what `lock` wants.

    `inventory` must hold every path of `paths_of_interest`; a regular file without a
    digest there counts as having some other content.
    """
    allowance = allowance or Allowance()
    wants = wanted_files(lock)
    spare = _spare_files(wants, inventory, receipt)
    actions: list[Action] = []
    moved: set[SafePath] = set()
    for path in sorted(wants):
        action = _for_wanted(wants[path], inventory, receipt, allowance, spare)
        if isinstance(action, Move):
            moved.add(action.source.path)
        actions.append(action)
    still_wanted = _Wanted.of(wants.values())
    for path in sorted(receipt.owned):
        if path in wants or path in moved:
            continue
        action_for_owned = _for_unwanted(
            receipt.owned[path], inventory, still_wanted, prune=allowance.prune
        )
        if action_for_owned is not None:
            actions.append(action_for_owned)
    return Plan(actions=tuple(actions))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Entries and models that the lock still wants something of."""

    entries: frozenset[str]
    models: frozenset[int]

    @staticmethod
    def of(wants: Iterable[Want]) -> "_Wanted":
        entries: set[str] = set()
        models: set[int] = set()
        for want in wants:
            entries.add(want.entry.key)
            models.add(want.file.model_id)
        return _Wanted(frozenset(entries), frozenset(models))

    def covers(self, owned: Owned) -> bool:
        return owned.entry in self.entries or owned.model_id in self.models


def _spare_files(
    wants: Mapping[SafePath, Want], inventory: Inventory, receipt: Receipt
) -> dict[str, list[Owned]]:
    """Owned, unchanged files that no path of the lock wants where they are, by content."""
    spare: dict[str, list[Owned]] = {}
    for path, owned in sorted(receipt.owned.items()):
        sight = inventory.get(path)
        if path in wants or not isinstance(sight, Regular):
            continue
        if _content(sight, owned.stamp, owned.sha256) == owned.sha256:
            spare.setdefault(owned.sha256, []).append(owned)
    return spare


def _for_wanted(
    want: Want,
    inventory: Inventory,
    receipt: Receipt,
    allowance: Allowance,
    spare: dict[str, list[Owned]],
) -> Action:
    path = want.path
    if not want.file.sha256:
        return Blocked(want=want, error=_unverifiable(want))
    sight = inventory.get(path, Absent())
    match sight:
        case Absent():
            source = _take_spare(spare, want)
            return Move(want=want, source=source) if source else Fetch(want=want)
        case Linked(at=at, kind=kind):
            return Blocked(want=want, error=_linked(path, at, kind))
        case Obstacle(kind=kind):
            error = SafetyError(
                Code.OBSTACLE, f"a {kind} stands where a file belongs", subject=path
            )
            return Blocked(want=want, error=error)
        case Regular():
            return _for_regular(want, sight, receipt, allowance, spare)
        case _:
            assert_never(sight)


def _for_regular(
    want: Want,
    sight: Regular,
    receipt: Receipt,
    allowance: Allowance,
    spare: dict[str, list[Owned]],
) -> Action:
    path, file = want.path, want.file
    owned = receipt.owned.get(path)
    if owned is not None:
        content = _content(sight, owned.stamp, owned.sha256)
        if content == file.sha256:
            touched = owned.stamp != sight.stamp or owned.sha256 != file.sha256
            return Keep(want=want, stamp=sight.stamp if touched else None)
        if content == owned.sha256:
            return Replace(want=want, old=sight.stamp, old_sha256=owned.sha256)
        if allowance.force_modified:
            return Replace(
                want=want, old=sight.stamp, old_sha256=content or "unknown", modified=True
            )
        return Blocked(want=want, error=_modified(path))
    known = receipt.known.get(path)
    content = _content(sight, known.stamp, known.sha256) if known else sight.sha256
    if content == file.sha256:
        renamed = _same_file_by_another_name(want, sight.stamp, spare)
        if renamed is not None:
            return Move(want=want, source=renamed)
        return Satisfied(want=want, stamp=sight.stamp)
    return Blocked(want=want, error=_foreign(want, sight))


def _content(sight: Regular, stamp: Stamp, sha256: str) -> str | None:
    if sight.sha256 is not None:
        return sight.sha256
    return sha256 if sight.stamp == stamp else None


def _take_spare(spare: dict[str, list[Owned]], want: Want) -> Owned | None:
    candidates = spare.get(want.file.sha256)
    return candidates.pop(0) if candidates else None


def _same_file_by_another_name(
    want: Want, stamp: Stamp, spare: dict[str, list[Owned]]
) -> Owned | None:
    """On a disk that folds case, a file seen under its new name may be ours under the old."""
    for owned in spare.get(want.file.sha256, []):
        same_name = collision_key(owned.path) == collision_key(want.path)
        if same_name and owned.stamp.inode == stamp.inode:
            spare[want.file.sha256].remove(owned)
            return owned
    return None


def _for_unwanted(
    owned: Owned, inventory: Inventory, still_wanted: _Wanted, *, prune: bool
) -> Action | None:
    sight = inventory.get(owned.path, Absent())
    match sight:
        case Regular() if _content(sight, owned.stamp, owned.sha256) == owned.sha256:
            return Retire(owned=owned, replaced=still_wanted.covers(owned)) if prune else None
        case Absent():
            return Release(owned=owned, missing=True)
        case Regular() | Obstacle() | Linked():
            return Release(owned=owned, missing=False)
        case _:
            assert_never(sight)


def _unverifiable(want: Want) -> CivsyncError:
    return IntegrityError(
        Code.DIFFERS,
        "the lock has no SHA-256 for this file, so no bytes can be told to be right",
        subject=want.path,
        hint="Run `civsync lock`.",
    )


def _linked(path: SafePath, at: str, kind: str) -> CivsyncError:
    if kind == "symlink":
        return SafetyError(
            Code.SYMLINKED_DIRECTORY,
            f"{at} is a symbolic link, and {path} lies behind it",
            subject=path,
            data={"link": at},
        )
    return SafetyError(Code.OBSTACLE, f"{at} is in the way: it is not a directory", subject=path)


def _modified(path: SafePath) -> CivsyncError:
    return SafetyError(
        Code.MODIFIED_FILE, "this file was changed since civsync placed it", subject=path
    )


def _foreign(want: Want, sight: Regular) -> CivsyncError:
    return SafetyError(
        Code.FOREIGN_FILE,
        "a file that civsync did not place is in the way",
        subject=want.path,
        data={"size": sight.stamp.size, "sha256": sight.sha256, "wanted": want.file.sha256},
    )
