"""Find out before the first byte whether what is to come fits on the disk, and make room for it.

Room is made of what waits in trash alone, and only where the user said so: the oldest goes
first, as much as it takes, and nothing goes that would not be enough.
"""

from civsync.core.codes import Code
from civsync.core.disk import Trashed
from civsync.core.errors import DiskError
from civsync.core.events import Noted
from civsync.core.limits import SPACE_MARGIN_BYTES
from civsync.core.lock import Lock
from civsync.core.plan import Plan
from civsync.core.values import dataclass
from civsync.decide.spare import enough_of, spare_trash
from civsync.ports import Parts, Reporter, TrashCan

_EMPTY_TRASH = (
    "{} bytes wait in trash: `civsync sync --empty-trash` deletes the oldest, as many as it takes;"
    " `civsync trash empty` deletes them all."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """What may make room on a full disk: trash that the whole `lock` does not want.

    It is deleted only where that is `allowed`.
    """

    trash: TrashCan
    lock: Lock
    report: Reporter
    allowed: bool


def check_space(
    plan: Plan, parts: Parts, spare: Spare | None = None, *, retired_first: bool = False
) -> bool:
    """Raise DiskError no-space if what is still to come does not fit on the disk.

    Blocks. What waits in trash, or can be shared with another root, takes no more space:
    where it matters, it is made a part.
    Where that is not enough the oldest of `spare` is deleted, if it is allowed and then fits.
    False if that takes what the plan retires, with `retired_first`: then nothing is done, and
    the caller asks again without that once those files are in trash.
    """
    sizes = {action.want.file.sha256: action.want.file.size for action in plan.fetches}

    def still_to_come() -> int:
        held = parts.held()
        return sum(max(0, size - held.get(sha256, 0)) for sha256, size in sizes.items())

    need = still_to_come()
    if not need:
        return True
    have = parts.free_bytes() - SPACE_MARGIN_BYTES
    if need > have:
        for sha256, size in sizes.items():
            parts.salvage(sha256, size, (), spending=False)
        need = still_to_come()
    hint = ""
    if need > have and spare is not None:
        disposable = spare_trash(spare.trash.entries(), spare.lock)
        chosen = enough_of(disposable, need - have)
        in_trash = sum(each.frees for each in disposable)
        going = [each.owned for each in plan.retires if retired_first and not each.unselected]
        retired = sum(each.stamp.size for each in going)
        if chosen and spare.allowed:
            have += sum(_delete(each, spare) for each in chosen)
        elif spare.allowed and retired and need <= have + in_trash + retired:
            return False
        elif chosen:
            hint = _EMPTY_TRASH.format(in_trash)
    if need > max(0, have):
        raise DiskError(
            Code.NO_SPACE,
            f"{need} bytes are still to come and {max(0, have)} are free",
            hint=hint,
            data={"need": need, "have": max(0, have)},
        )
    return True


def _delete(trashed: Trashed, spare: Spare) -> int:
    """Delete a file for good, and say so; returns the bytes that this gave back."""
    freed = spare.trash.discard(trashed)
    if freed:
        message = f"deleted from trash to make room: {trashed.id}, {freed} bytes"
        spare.report(Noted(code="trash-emptied", message=message, path=trashed.path))
    return freed
