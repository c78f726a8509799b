"""What is owned in a root by now, and what is known of it: the receipt as it will be written.

Nothing is done to a file here, and nothing is written.
"""

from collections.abc import Iterable
from dataclasses import replace

from civsync.core.disk import Known, Owned, Receipt, Stamp
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath, collision_key
from civsync.core.plan import Keep


class Belongings:
    """Begins with what a receipt says. Its methods may be called from any thread."""

    def __init__(self, receipt: Receipt) -> None:
        self._before = receipt
        self._owned = dict(receipt.owned)
        self._known = dict(receipt.known)
        self._placed_with: dict[str, list[SafePath]] = {}
        for path, mine in receipt.owned.items():
            self._placed_with.setdefault(mine.sha256, []).append(path)

    @property
    def changed(self) -> bool:
        """Whether another receipt is to be written."""
        return self.receipt() != self._before

    def receipt(self) -> Receipt:
        """Return the receipt of this moment."""
        return Receipt(root_id=self._before.root_id, owned=self._owned, known=self._known)

    def owns(self, path: SafePath) -> bool:
        """Whether what is at `path` is ours."""
        return path in self._owned

    def know(self, file: LockedFile, stamp: Stamp) -> None:
        """Take note that a file of somebody else is the locked one."""
        self._known[file.path] = Known(sha256=file.sha256, stamp=stamp)

    def keep(self, owned: Owned) -> None:
        """Take note of how something is owned that is where it was."""
        self._owned[owned.path] = owned

    def refresh(self, action: Keep) -> None:
        """Take over what a look at a kept file found out, and what the manifest says of it."""
        file = action.want.file
        mine = self._owned[file.path]
        if action.stamp is not None:
            mine = replace(mine, sha256=file.sha256, stamp=action.stamp)
        if action.protect is not None:
            mine = replace(mine, protect=action.protect)
        self._owned[file.path] = mine

    def place(self, owned: Owned) -> None:
        """Take note of what has its name now."""
        self._owned[owned.path] = owned
        self._placed_with.setdefault(owned.sha256, []).append(owned.path)
        self._known.pop(owned.path, None)

    def leave(self, path: SafePath) -> None:
        """Take note that what is at `path`, if anything, is not ours any more."""
        self._owned.pop(path, None)

    def copies_of(self, sha256: str, besides: SafePath) -> list[SafePath]:
        """Return the paths of ours that hold this content, but for one."""
        # What a replaced file holds now is other bytes, whatever the receipt says.
        return [
            path
            for path in self._placed_with.get(sha256, ())
            if path != besides and (mine := self._owned.get(path)) and mine.sha256 == sha256
        ]

    def spelled_as(self, paths: Iterable[SafePath]) -> dict[SafePath, Owned]:
        """Return what has another of these names on a disk that takes spellings for one.

        By the path that the receipt has: what is owned under the name given here.
        """
        now = {collision_key(path): path for path in paths}
        if not now:
            return {}
        return {
            path: self._owned[given]
            for path in self._owned
            if (given := now.get(collision_key(path), path)) != path
        }
