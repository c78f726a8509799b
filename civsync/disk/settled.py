"""Tell without planning that a root holds what a lock wants: nothing changed since it did.

A plan depends on the lock, the groups that are selected, the receipt and what is on disk alone.
So if the groups are the same, the texts of both are the ones for which a plan had nothing to
do, there are no notes since, and every file still has the stamp that the receipt knows, a new
plan would have nothing to do either. The ten thousand values that a lock is made of need not
even be read for that.
"""

import hashlib
from pathlib import Path

from civsync.core.errors import CivsyncError
from civsync.core.groups import Unselected
from civsync.core.limits import LOCK_BYTES
from civsync.disk.root import CONTROL, NOTES, RECEIPT, Root
from civsync.disk.state import Settled, read_settled, write_settled
from civsync.disk.survey import is_unchanged
from civsync.documents.receipt import read_stamps


def find_settled(
    root: Root, lock_sha256: str, selection: str, *, state_dir: Path
) -> Settled | None:
    """Return what was noted, if all that this selection of this lock wants still is in place.

    None only means that somebody has to look closely. Writes nothing and never raises.
    """
    settled = read_settled(state_dir, root.beneath.root)
    if settled is None or (settled.lock_sha256, settled.selection) != (lock_sha256, selection):
        return None
    try:
        receipt = _receipt_of(root)
        if receipt is None or _digest(receipt) != settled.receipt_sha256:
            return None
        unchanged = is_unchanged(root.beneath, read_stamps(receipt))
    except (OSError, CivsyncError):
        return None
    return settled if unchanged else None


def note_settled(
    root: Root,
    lock_sha256: str,
    selection: str,
    *,
    files: int,
    unselected: Unselected,
    state_dir: Path,
) -> None:
    """Note that a plan for this selection of this lock, with pruning, had nothing to do.

    It wants so many `files`. Never raises.

    Only a short cut: what cannot be noted costs the next run a look.
    """
    try:
        receipt = _receipt_of(root)
    except (OSError, CivsyncError):
        return
    if receipt is None:
        return
    settled = Settled(
        lock_sha256=lock_sha256,
        receipt_sha256=_digest(receipt),
        selection=selection,
        files=files,
        unselected=unselected,
    )
    if read_settled(state_dir, root.beneath.root) != settled:
        write_settled(state_dir, root.beneath.root, settled)


def _receipt_of(root: Root) -> bytes | None:
    """Return the text of the receipt, None if notes say that it is not the last word."""
    with root.beneath.folder(CONTROL) as folder:
        return folder.read(RECEIPT, LOCK_BYTES) if folder.find(NOTES) is None else None


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
