"""Kernel locks on open files: a courtesy between processes, never the guarantee.

They end with the process that holds them. Some network and FUSE file systems have none, or
have some that lie, so nothing is right only because of a lock.
"""

import errno
import os
import sys
from typing import Final

from civsync.disk.faults import UNSUPPORTED

_WINDOWS_OFFSET: Final = 1 << 30
"""Locked regions of Windows cannot be read, so the byte locked lies behind all content."""


def try_lock(fd: int) -> bool | None:
    """Lock the file if nobody else has it: True or False; None where there are no locks.

    Raises OSError.
    """
    try:
        _lock(fd)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK):
            return False
        if error.errno in UNSUPPORTED:
            return None
        raise
    return True


def _lock(fd: int) -> None:
    if sys.platform == "win32":
        import msvcrt  # noqa: PLC0415 - exists on Windows only

        place = os.lseek(fd, 0, os.SEEK_CUR)
        try:
            os.lseek(fd, _WINDOWS_OFFSET, os.SEEK_SET)
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(fd, place, os.SEEK_SET)
    else:
        import fcntl  # noqa: PLC0415 - exists on POSIX only

        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
