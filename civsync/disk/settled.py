"""Tell without planning that a root holds what a lock wants: nothing changed since it did.

A plan depends on the lock, the groups that are selected, the receipt and what is on disk alone.
So if the groups are the same, the texts of both are the ones for which a plan had nothing to
do, there are no notes since, and every file still has the stamp that the receipt knows, a new
plan would have nothing to do either. The ten thousand values that a lock is made of need not
even be read for that, and the receipt only for its digest: the note holds its stamps once more,
as they are quickest to read.

The note lies in the user's state directory and says nothing that the user could not say. It
leads to nothing being done, never to anything else.
"""

import os
import stat
from functools import partial
from typing import Final

from civsync.core.errors import CivsyncError
from civsync.disk.beneath import Beneath
from civsync.disk.digest import blake3_of
from civsync.disk.folder import is_link
from civsync.disk.root import CONTROL, NOTES, RECEIPT, Root
from civsync.disk.slices import holds_for_all
from civsync.documents.settled import Settled, Stamped

_HAS_JUNCTIONS: Final = os.name == "nt"
"""Elsewhere the kind of a file tells a link."""


def is_in_place(root: Root, settled: Settled) -> bool:
    """Tell whether the root is still as it was noted.

    Whether it is the lock and the selection in question is for the caller to see. False only
    means that somebody has to look closely, as always where directories of the root lie on other
    disks. Writes nothing and never raises.
    """
    if has_annexes(root):
        return False
    try:
        return _receipt_blake3(root) == settled.receipt_blake3 and is_unchanged(
            root.beneath, settled.stamped
        )
    except (OSError, CivsyncError):
        return False


def has_annexes(root: Root) -> bool:
    """Tell whether directories lie on other disks, where the look by a note would not find them."""
    return len(root.beneath.homes) > 1


def _receipt_blake3(root: Root) -> str | None:
    """Return the digest of the receipt, None if notes say that it is not the last word.

    Raises OSError, SafetyError.
    """
    with root.beneath.folder(CONTROL) as folder:
        if folder.find(NOTES) is not None:
            return None
        with os.fdopen(folder.open(RECEIPT, os.O_RDONLY), "rb", buffering=0) as file:
            return blake3_of(file)


def is_unchanged(beneath: Beneath, stamped: Stamped) -> bool:
    """Tell whether each path holds a regular file with its stamp, reached through no link.

    The same as comparing a survey, without a value for each file. Raises OSError, also where
    nothing is.
    """
    for status in beneath.look_at_each(stamped.folders):
        if not stat.S_ISDIR(status.st_mode) or is_link(status):
            return False
    return holds_for_all(partial(_have_their_stamps, beneath, stamped), len(stamped.paths))


def _have_their_stamps(beneath: Beneath, stamped: Stamped, begin: int, end: int) -> bool:
    some = slice(begin, end)
    looks = beneath.look_at_each(stamped.paths[some])
    known = (stamped.mtimes_ns[some], stamped.sizes[some], stamped.inodes[some])
    is_regular = stat.S_ISREG
    return not any(
        status.st_mtime_ns != mtime_ns
        or status.st_size != size
        or status.st_ino != inode
        or not is_regular(status.st_mode)
        or (_HAS_JUNCTIONS and is_link(status))
        for status, mtime_ns, size, inode in zip(looks, *known, strict=True)
    )
