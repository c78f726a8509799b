"""Copy a file's bytes inside one disk, sharing them where the file system can."""

import errno
import os
from typing import Final

from civsync.core.limits import MIB
from civsync.disk.durable import write_all
from civsync.disk.faults import UNSUPPORTED

_STEP_BYTES: Final = 64 * MIB
_FALL_BACK: Final = UNSUPPORTED | {errno.EXDEV, errno.EPERM}


def copy_bytes(source: int, target: int, size: int) -> int:
    """Copy at most `size` bytes between two open files, from where they stand.

    Returns how many there were. btrfs and xfs share the blocks instead of copying.
    Raises OSError.
    """
    done = 0
    if hasattr(os, "copy_file_range"):
        try:
            while done < size:
                count = os.copy_file_range(source, target, min(_STEP_BYTES, size - done))
                if not count:
                    break
                done += count
        except OSError as error:
            if error.errno not in _FALL_BACK:
                raise
    # Also after a copy that stopped early: some file systems say 0 where they cannot.
    while done < size and (data := os.read(source, min(MIB, size - done))):
        write_all(target, data)
        done += len(data)
    return done
