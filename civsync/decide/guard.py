"""Stop a plan that would take away more than a usual edit explains.

An emptied manifest, a filter that matches nothing, or a registry that answers "none"
all look like an order to delete a library; zero is suspicious.
"""

from civsync.core.codes import Code
from civsync.core.disk import Receipt
from civsync.core.errors import SafetyError
from civsync.core.limits import PRUNE_FILES, PRUNE_SHARE
from civsync.core.plan import Plan, Release
from civsync.core.values import dataclass


@dataclass(frozen=True, slots=True)
class AllowPrune:
    """How many files the user allowed to be retired; `count` None means all."""

    count: int | None = 0


def check_prune(plan: Plan, receipt: Receipt, allowed: AllowPrune) -> None:
    """Raise SafetyError prune-guard if `plan` retires more than is allowed.

    Files of an entry or model that is still wanted (a new version replaces them) do not
    count. The limit is the larger of ten files and a quarter of what civsync owns; retiring
    everything that is left is always stopped.
    """
    dropped = [action.owned for action in plan.retires if not action.replaced]
    if not dropped or allowed.count is None or len(dropped) <= allowed.count:
        return
    # Nor must what stays because it is protected.
    owned = len(receipt.owned) - len(plan.protected)
    # What is gone from the disk already must not make an emptied manifest look like an edit.
    released = sum(isinstance(action, Release) for action in plan.actions)
    everything = len(dropped) + released == owned
    if not everything and len(dropped) <= max(PRUNE_FILES, int(owned * PRUNE_SHARE)):
        return
    size = sum(each.stamp.size for each in dropped)
    what = "everything that civsync placed" if everything else f"{len(dropped)} of {owned} files"
    raise SafetyError(
        Code.PRUNE_GUARD,
        f"this would retire {what}, {dropped[0].path} first",
        hint=f"Look at `civsync sync --dry-run`; then run `civsync sync --allow-prune "
        f"{len(dropped)}`, or --no-prune to keep them.",
        data={"files": len(dropped), "owned": owned, "bytes": size},
    )
