"""Copy what entries say of protection into the receipt, where it outlives them."""

from collections.abc import Collection
from dataclasses import replace

from civsync.core.disk import Owned, Receipt
from civsync.core.lock import Lock
from civsync.core.names import SafePath
from civsync.decide.groups import NOTHING, LeftOut


def with_protection(
    receipt: Receipt,
    lock: Lock,
    left_out: LeftOut = NOTHING,
    unprotect: Collection[SafePath] = (),
) -> Receipt:
    """Return `receipt` with every file as protected as its entries say.

    They are the one that it was placed for, and those that want its path; one that protects
    it wins. Where they say nothing, or are gone, that stays as it is. Of the files that
    `unprotect` names it ends, for now, whatever an entry says.
    """
    by_entry = {entry.key: entry.protect for entry in lock.entries if entry.protect is not None}
    by_entry.update(left_out.protection)
    if not by_entry and not unprotect:
        return receipt
    by_path = {file.path: True for entry in lock.entries if entry.protect for file in entry.files}
    by_path.update(dict.fromkeys(left_out.protected_paths, True))
    for entry in lock.entries:
        if entry.protect is False:
            for file in entry.files:
                by_path.setdefault(file.path, False)

    def is_protected(owned: Owned) -> bool:
        said = {by_entry.get(owned.entry), by_path.get(owned.path)} - {None}
        return any(said) if said else owned.protect

    changed = {
        path: replace(owned, protect=not owned.protect)
        for path, owned in receipt.owned.items()
        if owned.protect is not (path not in unprotect and is_protected(owned))
    }
    if not changed:
        return receipt
    return replace(receipt, owned={**receipt.owned, **changed})
