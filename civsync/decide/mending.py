"""Decide which files that are not as locked may be put right, and what that takes.

Only what is ours beyond doubt is touched: a file for which receipt and lock name the same
content. One byte changed in either of them, and the file is left alone.
"""

from collections.abc import Iterable, Mapping
from typing import Final

from civsync.core.disk import Absent, Inventory, Receipt, Regular, Sight, Stamp
from civsync.core.errors import CivsyncError
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.core.plan import Blocked, Fetch, Move, Plan, Want
from civsync.core.values import dataclass
from civsync.decide.groups import LeftOut
from civsync.decide.plan import make_plan

_MEDIUM_FAILED: Final = "EIO"
"""What the system says of bytes that the disk cannot give back; anything else may pass."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mend:
    """A file of ours that is missing (no `stamp`) or damaged.

    `sha256` is what it holds, "" where the disk cannot read it any more.
    """

    want: Want
    stamp: Stamp | None = None
    sha256: str = ""

    @property
    def path(self) -> SafePath:
        """Where it belongs."""
        return self.want.path

    @property
    def reason(self) -> str:
        """Why it goes to quarantine, in words."""
        found = f"has SHA-256 {self.sha256}" if self.sha256 else "cannot be read any more"
        return f"{found}, the lock says {self.want.file.sha256}"


def mendable(
    wants: Mapping[SafePath, Want],
    inventory: Inventory,
    receipt: Receipt,
    unread: Mapping[SafePath, CivsyncError],
) -> dict[SafePath, Mend]:
    """Return what may be put right, by path. `unread` are the files that could not be read."""
    found: dict[SafePath, Mend] = {}
    for path, want in wants.items():
        mine = receipt.owned.get(path)
        if mine is None or mine.sha256 != want.file.sha256:
            continue
        sight = inventory.get(path, Absent())
        error = unread.get(path)
        if isinstance(sight, Absent):
            found[path] = Mend(want=want)
        elif not isinstance(sight, Regular):
            continue
        elif error is not None:
            if error.data.get("errno") == _MEDIUM_FAILED:
                found[path] = Mend(want=want, stamp=sight.stamp)
        elif sight.sha256 not in (None, want.file.sha256):
            found[path] = Mend(want=want, stamp=sight.stamp, sha256=sight.sha256 or "")
    return found


def mending_plan(
    lock: Lock,
    inventory: Inventory,
    receipt: Receipt,
    left_out: LeftOut,
    mends: Iterable[Mend],
) -> Plan:
    """Return the plan of a sync for these files alone, once nothing is at their paths.

    Nothing leaves the tree by it.
    """
    paths = {mend.path for mend in mends}
    there: dict[SafePath, Sight] = {**inventory, **dict.fromkeys(paths, Absent())}
    plan = make_plan(lock, there, receipt, None, left_out)
    actions = [a for a in plan.actions if isinstance(a, Fetch | Move | Blocked)]
    return Plan(actions=tuple(a for a in actions if a.want.path in paths))
