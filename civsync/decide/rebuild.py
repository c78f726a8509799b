"""Make a receipt out of a lock, of what was read on disk, and of what is left of the old one.

Nothing becomes ours whose content is not known to be what the lock or the old receipt says:
what remains of a receipt may have been changed by anybody.
"""

from collections.abc import Mapping
from dataclasses import replace

from civsync.core.disk import Absent, Inventory, Known, Owned, Receipt, Regular, Stamp
from civsync.core.names import SafePath
from civsync.core.plan import Want
from civsync.core.values import dataclass

Contents = Mapping[SafePath, tuple[str, str, Stamp]]
"""SHA-256, BLAKE3 and stamp of what was just read, by path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """The new receipt; `taken` were not ours by the old one, `released` are ours no more."""

    receipt: Receipt
    taken: tuple[SafePath, ...] = ()
    released: tuple[SafePath, ...] = ()


def rebuild(
    wants: Mapping[SafePath, Want],
    inventory: Inventory,
    receipt: Receipt,
    contents: Contents,
    *,
    take_over: bool,
) -> Rebuilt:
    """Return the receipt for the paths in `wants` and those that the old one names.

    `take_over` is the user's word that what the lock wants, and is there, is civsync's.
    `contents` must hold every regular file of `inventory` that can be read.
    """
    owned: dict[SafePath, Owned] = {}
    known: dict[SafePath, Known] = {}
    for path, (sha256, blake3, stamp) in contents.items():
        mine, want = receipt.owned.get(path), wants.get(path)
        if want is not None and sha256 == want.file.sha256 and (mine is not None or take_over):
            owned[path] = want.placed(stamp, blake3, mine)
        elif mine is not None and mine.sha256 == sha256:
            owned[path] = replace(mine, stamp=stamp, blake3=blake3)
        else:
            known[path] = Known(sha256=sha256, stamp=stamp)
    for path, mine in receipt.owned.items():
        if path not in owned and _still_ours(mine, wants.get(path), inventory, contents):
            # Damaged or missing: it is ours, and its stamp proves nothing.
            owned[path] = replace(mine, stamp=Stamp(mine.stamp.size, 0, 0))
    return Rebuilt(
        receipt=Receipt(root_id=receipt.root_id, owned=owned, known=known),
        taken=tuple(sorted(owned.keys() - receipt.owned.keys())),
        released=tuple(sorted(receipt.owned.keys() - owned.keys())),
    )


def _still_ours(mine: Owned, want: Want | None, inventory: Inventory, contents: Contents) -> bool:
    """Tell whether a file that does not have the content of the old receipt stays ours.

    Only where the lock says the same of it, or where nothing could be read.
    """
    if want is not None and want.file.sha256 == mine.sha256:
        return isinstance(inventory.get(mine.path, Absent()), Absent | Regular)
    return isinstance(inventory.get(mine.path), Regular) and mine.path not in contents
