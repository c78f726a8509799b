"""What civsync owns at paths where the lock wants nothing any more, or nothing selected.

Such a file may be just what the lock wants elsewhere, or, on a disk that folds case or
normalizes, the wanted file itself under its old spelling. Each is given out once; what is
protected, or left alone by a selection of groups, never is. What becomes of the others is
decided in `civsync.decide.plan`.
"""

from collections.abc import Container, Iterator, Mapping
from dataclasses import replace

from civsync.core.disk import Inventory, Owned, Receipt, Regular, Sight, Stamp
from civsync.core.names import SafePath, collision_key
from civsync.core.plan import Want
from civsync.decide.groups import LeftOut


def content_of(sight: Regular, stamp: Stamp, sha256: str) -> str | None:
    """Return the SHA-256 of what is seen: as read, or as remembered for this very stamp."""
    if sight.sha256 is not None:
        return sight.sha256
    return sha256 if sight.stamp == stamp else None


class Leftovers:
    """The owned files that no path of the lock wants where they are.

    Files that changed since are among them, but are never given out.
    """

    def __init__(
        self,
        wants: Mapping[SafePath, Want],
        inventory: Inventory,
        receipt: Receipt,
        left_out: LeftOut,
        protected: Container[SafePath] = (),
    ) -> None:
        left = sorted(receipt.owned.keys() - wants.keys())
        self._left = {path: receipt.owned[path] for path in left}
        self._alone = frozenset(path for path in left if left_out.claims(self._left[path]))
        self._left_out = left_out
        self._given: set[SafePath] = set()
        self._by_content: dict[str, list[Owned]] = {}
        self._by_spelling: dict[str, Owned] = {}
        if not left:
            return
        self._inventory = inventory
        self._wanted_entries = {want.entry.key for want in wants.values()}
        self._wanted_models = {want.file.model_id for want in wants.values()}
        self._wanted_spellings = {collision_key(path): path for path in wants}
        for path, owned in self._left.items():
            sight = inventory.get(path)
            if not isinstance(sight, Regular):
                continue
            if content_of(sight, owned.stamp, owned.sha256) != owned.sha256:
                continue
            seen = replace(owned, stamp=sight.stamp)
            if self.is_another_spelling(path, sight):
                self._by_spelling[collision_key(path)] = seen
            elif path not in self._alone and path not in protected:
                self._by_content.setdefault(owned.sha256, []).append(seen)

    def take(self, sha256: str) -> Owned | None:
        """Give out a file with this content, if one is left."""
        candidates = self._by_content.get(sha256)
        return self._give(candidates.pop(0)) if candidates else None

    def take_spelling(self, path: SafePath, sight: Regular) -> Owned | None:
        """Give out what is seen at `path`, if it is ours under another spelling of it."""
        owned = self._by_spelling.get(collision_key(path)) if self._by_spelling else None
        return self._give(owned) if owned is not None and owned.stamp == sight.stamp else None

    def is_left_alone(self, owned: Owned) -> bool:
        """Tell whether this is left over only because its entry is not selected."""
        return owned.path in self._alone

    def holds_back(self, owned: Owned, want: Want) -> bool:
        """Tell whether `owned`, where `want` belongs, is of an entry that is not selected."""
        return self._left_out.holds_back(owned, want.file)

    def remaining(self) -> Iterator[Owned]:
        """Yield what was not given out, in the order of the paths."""
        return (owned for path, owned in self._left.items() if path not in self._given)

    def is_another_spelling(self, path: SafePath, sight: Sight) -> bool:
        """Tell whether what is seen at `path` is a file that the lock wants under another name."""
        other = self._wanted_spellings.get(collision_key(path))
        there = self._inventory.get(other) if other is not None else None
        return (
            isinstance(sight, Regular) and isinstance(there, Regular) and there.stamp == sight.stamp
        )

    def is_replaced(self, owned: Owned) -> bool:
        """Tell whether the lock still wants something of the same entry or model."""
        return owned.entry in self._wanted_entries or owned.model_id in self._wanted_models

    def _give(self, owned: Owned) -> Owned:
        self._given.add(owned.path)
        return owned
