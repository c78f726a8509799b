"""Decide which files below a root may be taken over, by what they hold.

No disk is read: sights come with the content that was found out. Only content counts; a
name never makes a file a locked one. Each wanted path is given to one file at most.
"""

from collections.abc import Collection, Mapping, Sequence
from shlex import quote

from civsync.core.adoption import Bring, Fate, Leave, Ours, Take
from civsync.core.codes import Code
from civsync.core.disk import Absent, Inventory, Linked, Obstacle, Receipt, Regular
from civsync.core.errors import SafetyError
from civsync.core.names import SafePath, collision_key
from civsync.core.plan import Want
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Search:
    """What the user asked to be looked at.

    Of a `named` file it is told what becomes of it whatever it is; of the others in `paths`
    only if they concern the lock.
    """

    paths: Collection[SafePath]
    named: Collection[SafePath] = frozenset()


def targets_to_read(
    search: Search, wants: Mapping[SafePath, Want], inventory: Inventory
) -> list[SafePath]:
    """Return what stands where a file that was read belongs, and may be the locked one, sorted."""
    held = {
        sight.sha256
        for path in search.paths
        if isinstance(sight := inventory.get(path), Regular) and sight.sha256
    }
    return sorted(
        path
        for path, want in wants.items()
        if want.file.sha256 in held
        and isinstance(there := inventory.get(path), Regular)
        and there.sha256 is None
        and there.stamp.size == want.file.size
    )


def worth_reading(
    search: Search, wants: Mapping[SafePath, Want], inventory: Inventory
) -> list[SafePath]:
    """Return the files that may be locked ones by their size, sorted."""
    sizes = {want.file.size for want in wants.values()}
    return sorted(
        path
        for path in search.paths
        if isinstance(sight := inventory.get(path), Regular) and sight.stamp.size in sizes
    )


def decide_adoption(
    search: Search,
    wants: Mapping[SafePath, Want],
    inventory: Inventory,
    receipt: Receipt,
    *,
    move: bool,
) -> list[Fate]:
    """Say what becomes of each file that there is something to say of, sorted by its path.

    `inventory` holds every path of the search and of `wants`; a regular file without a
    SHA-256 there counts as having some other content. Without `move` no file goes anywhere.
    """
    return _Adoption(search, wants, inventory, receipt, move=move).decide()


class _Adoption:
    def __init__(
        self,
        search: Search,
        wants: Mapping[SafePath, Want],
        inventory: Inventory,
        receipt: Receipt,
        *,
        move: bool,
    ) -> None:
        self._search = search
        self._wants = wants
        self._inventory = inventory
        self._receipt = receipt
        self._move = move
        self._by_content: dict[str, list[Want]] = {}
        for path in sorted(wants):
            if sha256 := wants[path].file.sha256:
                self._by_content.setdefault(sha256, []).append(wants[path])
        self._given: set[SafePath] = set()

    def decide(self) -> list[Fate]:
        fates = {path: self._fate(path) for path in sorted(self._search.paths, key=self._turn)}
        return [fate for _, fate in sorted(fates.items()) if fate is not None]

    def _turn(self, path: SafePath) -> tuple[bool, SafePath]:
        """Of several copies of a file the one that has its name already goes first."""
        sight = self._inventory.get(path)
        targets = self._targets(sight) if isinstance(sight, Regular) else []
        return all(_name(path) != _name(want.path) for want in targets), path

    def _targets(self, sight: Regular) -> list[Want]:
        return self._by_content.get(sight.sha256 or "", [])

    def _fate(self, path: SafePath) -> Fate | None:
        sight = self._inventory.get(path, Absent())
        concerned = path in self._wants or path in self._search.named
        match sight:
            case Regular():
                return self._of_regular(path, sight)
            case Linked(at=at) if concerned:
                return _leave(path, Code.SYMLINKED_DIRECTORY, f"{at} is no directory of the root")
            case Obstacle(kind=kind) if concerned:
                return _leave(path, Code.OBSTACLE, f"it is no regular file ({kind})")
            case _:
                return None

    def _of_regular(self, path: SafePath, sight: Regular) -> Fate | None:
        want, owned = self._wants.get(path), self._receipt.owned.get(path)
        if want is not None and sight.sha256 == want.file.sha256:
            if owned is not None and owned.sha256 == sight.sha256:
                return Ours(want=want, stamp=sight.stamp)
            return Take(want=want, stamp=sight.stamp)
        if owned and sight.stamp == owned.stamp and sight.sha256 in (None, owned.sha256):
            message = "it is civsync's already, and the lock wants something else here"
            hint = "Run `civsync sync`: it says what becomes of the file."
            return self._if_named(path, message, hint)
        targets = self._targets(sight)
        if targets:
            return self._of_misplaced(path, sight, targets)
        if want is not None and owned is not None:
            return _leave(path, Code.MODIFIED_FILE, "it was changed since civsync placed it")
        if want is not None:
            return _leave(path, Code.FOREIGN_FILE, "it is not the file that the lock wants here")
        return self._if_named(path, "the lock wants no file with this content")

    def _of_misplaced(self, path: SafePath, sight: Regular, targets: Sequence[Want]) -> Fate | None:
        in_the_way: SafePath | None = None
        for want in targets:
            if self._is_spelled(want.path, path, sight):
                # It is told under the name that the lock has for it, once.
                told = want.path in self._search.paths or want.path in self._given
                self._given.add(want.path)
                return None if told else self._of_regular(want.path, sight)
        for want in targets:
            there = self._inventory.get(want.path, Absent())
            if isinstance(there, Absent) and want.path not in self._given:
                self._given.add(want.path)
                if self._move:
                    return Bring(want=want, source=path, stamp=sight.stamp)
                return _leave(
                    path,
                    Code.MISPLACED,
                    f"the lock wants this at {want.path}",
                    hint=f"Run `civsync adopt --move {quote(path)}`.",
                )
            if not isinstance(there, Absent | Regular) or (
                isinstance(there, Regular) and there.sha256 != want.file.sha256
            ):
                in_the_way = want.path
        if in_the_way is None:
            return self._if_named(path, f"another file has this content for {targets[0].path}")
        return _leave(
            path,
            Code.FOREIGN_FILE,
            f"the lock wants this at {in_the_way}, where something else is",
            hint=f"Move {quote(in_the_way)} away, then run `civsync adopt --move {quote(path)}`.",
        )

    def _is_spelled(self, wanted: SafePath, path: SafePath, sight: Regular) -> bool:
        """Tell whether `path` is the file at `wanted`, on a disk that takes both for one name."""
        there = self._inventory.get(wanted, Absent())
        same = isinstance(there, Regular) and there.stamp == sight.stamp
        return same and collision_key(path) == collision_key(wanted)

    def _if_named(self, path: SafePath, message: str, hint: str = "") -> Leave | None:
        if path not in self._search.named:
            return None
        return _leave(path, Code.NOT_WANTED, message, hint=hint)


def _leave(path: SafePath, code: Code, message: str, *, hint: str = "") -> Leave:
    return Leave(path=path, error=SafetyError(code, message, subject=path, hint=hint))


def _name(path: SafePath) -> str:
    return path.rpartition("/")[2]
