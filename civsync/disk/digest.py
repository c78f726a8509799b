"""How a document is known: by its SHA-256, without holding it, or by its stamp, unread."""

import hashlib
import os
from io import FileIO
from typing import Final

from civsync.documents.settled import TextStamp

_PIECE: Final = 256 * 1024
"""Fits the processor's cache; fresh memory for all of a lock costs a third of its hash."""


_HAS_TIME_OF_CHANGE: Final = os.name == "posix"
"""Windows tells the time of creation in its place, so there every text is read."""


def text_stamp_of(file: FileIO) -> TextStamp | None:
    """Return the stamp of an open file, None where stamps could lie. Raises OSError.

    It is asked of the open file: opening is when a network disk looks for what others wrote.
    """
    status = os.fstat(file.fileno())
    if not _HAS_TIME_OF_CHANGE:
        return None
    return TextStamp(
        device=status.st_dev,
        inode=status.st_ino,
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        ctime_ns=status.st_ctime_ns,
    )


def sha256_of(file: FileIO) -> str:
    """Return the digest, in lower-case hex, of what is still to be read. Raises OSError."""
    digest = hashlib.sha256()
    view = memoryview(bytearray(_PIECE))
    while count := file.readinto(view):
        digest.update(view[:count])
    return digest.hexdigest()
