"""Copy what entries say of protection into the receipt, where it outlives them."""

from collections.abc import Collection
from dataclasses import replace

from civsync.core.disk import Receipt
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.decide.groups import NOTHING, LeftOut


def with_protection(
    receipt: Receipt,
    lock: Lock,
    left_out: LeftOut = NOTHING,
    unprotect: Collection[SafePath] = (),
) -> Receipt:
    """Return `receipt` with every file as protected as the entry that it was placed for says.

    An entry that says nothing, or is gone, leaves that as it is. Of the files that
    `unprotect` names it ends, for now, whatever an entry says.
    """
    said = {entry.key: entry.protect for entry in lock.entries if entry.protect is not None}
    said.update(left_out.protection)
    if not said and not unprotect:
        return receipt
    changed = {
        path: replace(owned, protect=not owned.protect)
        for path, owned in receipt.owned.items()
        if owned.protect is not (path not in unprotect and said.get(owned.entry, owned.protect))
    }
    if not changed:
        return receipt
    return replace(receipt, owned={**receipt.owned, **changed})
