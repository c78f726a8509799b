"""Note that a root holds what a lock wants, so that the next run need not plan to see that.

Only a short cut: what cannot be noted costs the next run a look.
"""

from typing import TYPE_CHECKING

from civsync.core.disk import Known, Owned, Receipt
from civsync.core.errors import CivsyncError
from civsync.core.groups import Unselected
from civsync.core.limits import LOCK_BYTES
from civsync.core.names import SafePath
from civsync.disk.digest import open_text, sha256_of, text_stamp_of
from civsync.disk.root import CONTROL, NOTES, RECEIPT, Root
from civsync.disk.settled import has_annexes
from civsync.disk.stamps import is_past
from civsync.disk.state import remember_settled
from civsync.documents.receipt import read_receipt
from civsync.documents.record import digest_of
from civsync.documents.settled import Settled, Stamped, TextStamp

if TYPE_CHECKING:
    from _typeshed import StrPath


def note_settled(
    root: Root,
    lock: "StrPath",
    selection: str,
    *,
    lock_sha256: str,
    receipt: Receipt,
    files: int,
    unselected: Unselected,
    state_dir: "StrPath",
) -> None:
    """Note that a plan for this selection of a lock, with pruning, had nothing to do.

    The lock was read at `lock`, and had this digest. The plan wants so many `files`, and was
    made from `receipt`: where another command wrote another one since, nothing is known.
    Nothing is noted of a root with annexes. Never raises.
    """
    if has_annexes(root):
        return
    try:
        text = _receipt_of(root)
        if text is None:
            return
        found = read_receipt(text, RECEIPT)
        if (found.owned, found.known) != (receipt.owned, receipt.known):
            return
        stamped = _stamped(found)
    except (OSError, CivsyncError):
        return
    settled = Settled(
        lock_sha256=lock_sha256,
        lock_stamp=_stamp_of(lock, lock_sha256),
        receipt_blake3=digest_of(text),
        selection=selection,
        files=files,
        unselected=unselected,
        stamped=stamped,
    )
    remember_settled(state_dir, root.beneath.root, settled)


def _stamp_of(lock: "StrPath", sha256: str) -> TextStamp | None:
    """Return how the lock is known again unread, None if it was written only just now.

    It is read once more for that, because it may be another one than was followed.
    """
    try:
        with open_text(lock) as file:
            stamp = text_stamp_of(file)
            if stamp is None or not is_past(stamp.ctime_ns):
                return None
            return stamp if sha256_of(file) == sha256 else None
    except OSError:
        return None


def _receipt_of(root: Root) -> bytes | None:
    """Return the text of the receipt, None if notes say that it is not the last word."""
    with root.beneath.folder(CONTROL) as folder:
        return folder.read(RECEIPT, LOCK_BYTES) if folder.find(NOTES) is None else None


def _stamped(receipt: Receipt) -> Stamped:
    """Return what is to be looked at, folders from the root on."""
    notes: dict[SafePath, Known | Owned] = {**receipt.known, **receipt.owned}
    stamps = {path: each.stamp for path, each in notes.items()}
    return Stamped(
        folders=sorted({folder for path in stamps for folder in _folders(path)}),
        paths=list(stamps),
        mtimes_ns=[stamp.mtime_ns for stamp in stamps.values()],
        sizes=[stamp.size for stamp in stamps.values()],
        inodes=[stamp.inode for stamp in stamps.values()],
    )


def _folders(path: SafePath) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:depth]) for depth in range(1, len(parts))]
