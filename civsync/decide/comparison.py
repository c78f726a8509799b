"""Compare, file by file, what civsync wrote last, what is on disk, and what the lock wants.

Two differences come out of three states: what somebody changed by hand since, and what the
next sync would change.
"""

from civsync.core.disk import Absent, Inventory, Owned, Receipt, Regular, Sight
from civsync.core.lock import LockedFile
from civsync.core.names import SafePath
from civsync.core.plan import Action, Keep, Plan, Protected, Release, Retire, Satisfied
from civsync.core.values import dataclass

DELETED = "deleted"
MODIFIED = "modified"
NO_FILE = "replaced by something that is no file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One path. `written` is None for what is not ours, `wanted` for what nothing wants.

    `by_hand` is what became of a file of ours, "" for nothing; `action` is what the next sync
    would do, None where it leaves the file alone.
    """

    path: SafePath
    written: Owned | None
    on_disk: Sight
    wanted: LockedFile | None
    by_hand: str
    action: Action | None

    @property
    def differs(self) -> bool:
        """Whether anything was changed by hand, or will be by the next sync."""
        settled = Keep | Satisfied | Protected
        return bool(self.by_hand) or not (self.action is None or isinstance(self.action, settled))


def compare(plan: Plan, inventory: Inventory, receipt: Receipt) -> tuple[Comparison, ...]:
    """Return every path that is ours or wanted, sorted; all three belong to one look."""
    actions: dict[SafePath, Action] = {}
    wanted: dict[SafePath, LockedFile] = {}
    for action in plan.actions:
        if isinstance(action, Retire | Release | Protected):
            actions[action.owned.path] = action
        else:
            actions[action.want.path] = action
            wanted[action.want.path] = action.want.file
    return tuple(
        Comparison(
            path=path,
            written=(owned := receipt.owned.get(path)),
            on_disk=(sight := inventory.get(path, Absent())),
            wanted=wanted.get(path),
            by_hand=_by_hand(owned, sight),
            action=actions.get(path),
        )
        for path in sorted(receipt.owned.keys() | wanted.keys())
    )


def _by_hand(owned: Owned | None, sight: Sight) -> str:
    if owned is None:
        return ""
    if isinstance(sight, Absent):
        return DELETED
    if not isinstance(sight, Regular):
        return NO_FILE
    return "" if sight.sha256 == owned.sha256 else MODIFIED
